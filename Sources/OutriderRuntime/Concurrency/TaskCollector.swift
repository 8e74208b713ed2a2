// SPDX-License-Identifier: Apache-2.0
// Live tasks: the answer to "how many goroutines?".
//
// Experimental: it stands on the layout of the runtime's own data, which is checked first. Where it is not
// the known one, or the runtime is linked into the program so that calls cannot be seen, there are no
// figures, and a log line says why.

internal import COutriderRuntime
public import OutriderMetrics
internal import OutriderThreading

/// Counts tasks from their creation to their end; thread-safe, experimental.
///
/// Seen are tasks that the service and its libraries create once it has started; not those that the
/// runtime makes for itself, nor `async let`. One of 64 locks is taken for each task, at its creation and at
/// its end; 1.1 MiB hold some 114,000 live ones,
/// more are counted in `swift_tasks_untracked_total`.
public struct TaskCollector: Collector {
    private let isOn: Switch

    private final class Switch: Sendable {
        let isOn = Guarded(false)
    }

    /// A collector; counting begins with ``start()``.
    public init() { isOn = Switch() }

    /// Starts counting; nil if it does, or why it cannot.
    public func start() -> String? {
        switch outrider_tasks_start() {
        case OUTRIDER_HOOK_ON:
            isOn.isOn.withLock { $0 = true }
            return nil
        case OUTRIDER_HOOK_UNKNOWN_LAYOUT:
            return "this Swift runtime keeps its tasks in another way than is known here"
        case OUTRIDER_HOOK_UNREACHABLE:
            return "the creation of tasks cannot be seen: the Swift runtime is linked statically"
        default: return "this Swift runtime does not tell of its tasks"
        }
    }

    /// Stops counting new tasks; those that were seen are counted to their end.
    public func stop() {
        isOn.isOn.withLock { $0 = false }
        outrider_tasks_stop()
    }

    /// Tasks created, and those of them that are not destroyed yet.
    package static var figures: (created: Int, live: Int, untracked: Int) {
        let figures = outrider_tasks_read()
        return (
            Int(clamping: figures.created), Int(clamping: figures.live),
            Int(clamping: figures.refused)
        )
    }

    /// `tasks`.
    public var name: String { "tasks" }

    private static let created = CollectedFamily.counter(
        "swift_tasks_created_total", help: "Tasks created; experimental.")
    private static let live = CollectedFamily.gauge(
        "swift_tasks_live", help: "Tasks created and not destroyed yet; experimental.")
    private static let untracked = CollectedFamily.counter(
        "swift_tasks_untracked_total",
        help: "Tasks that were created while the table of live ones was full.")

    /// The three families, which have no samples where there is nothing to be told.
    public var families: [CollectedFamily] { [Self.created, Self.live, Self.untracked] }

    /// Adds the figures, and looks for files that were loaded since the last time.
    public func collect(into samples: inout CollectedSamples) {
        guard isOn.isOn.withLock({ $0 }), outrider_tasks_start() == OUTRIDER_HOOK_ON else { return }
        let figures = Self.figures
        samples.add(Self.created, figures.created)
        samples.add(Self.live, figures.live)
        samples.add(Self.untracked, figures.untracked)
    }
}
