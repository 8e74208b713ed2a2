// SPDX-License-Identifier: Apache-2.0
// Counts live tasks, similar to a count of goroutines.
//
// Experimental: it depends on the layout of the runtime's internal data, which is checked first. If
// the layout is unknown, or the runtime is linked into the program so that calls cannot be seen,
// the metrics are absent and the reason is logged.

internal import COutriderRuntime
public import OutriderMetrics
internal import OutriderThreading

/// Counts tasks from their creation to their end; thread-safe, experimental.
///
/// Counts the tasks that the service and its libraries create after the start; not those that the
/// runtime creates for itself, nor `async let`. Takes one of 64 locks at the creation and at the
/// end of each task. A table of 1.1 MiB holds some 114,000 live tasks; further ones are counted in
/// `swift_tasks_untracked_total`.
public struct TaskCollector: Collector {
    private let isOn: Switch

    private final class Switch: Sendable {
        let isOn = Guarded(false)
    }

    /// Creates a collector; counting starts with ``start()``.
    public init() { isOn = Switch() }

    /// Starts counting; returns nil on success, otherwise why counting is not possible.
    public func start() -> String? {
        switch outrider_tasks_start() {
        case OUTRIDER_HOOK_ON:
            isOn.isOn.withLock { $0 = true }
            return nil
        case OUTRIDER_HOOK_UNKNOWN_LAYOUT:
            return "the task layout of this Swift runtime is unknown"
        case OUTRIDER_HOOK_UNREACHABLE:
            return "the Swift runtime is linked statically, so task creation is not visible"
        default: return "this Swift runtime does not expose its tasks"
        }
    }

    /// Stops counting new tasks; tasks already counted are followed to their end.
    public func stop() {
        isOn.isOn.withLock { $0 = false }
        outrider_tasks_stop()
    }

    /// Tasks created, and those not yet destroyed.
    package static var counts: (created: Int, live: Int, untracked: Int) {
        let counts = outrider_tasks_read()
        return (
            Int(clamping: counts.created), Int(clamping: counts.live),
            Int(clamping: counts.refused)
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
        help: "Tasks created while the table of live tasks was full.")

    /// The three families; they have no samples if counting is not possible.
    public var families: [CollectedFamily] { [Self.created, Self.live, Self.untracked] }

    /// Adds the counts, and hooks files that were loaded since the last call.
    public func collect(into samples: inout CollectedSamples) {
        guard isOn.isOn.withLock({ $0 }), outrider_tasks_start() == OUTRIDER_HOOK_ON else { return }
        let counts = Self.counts
        samples.add(Self.created, counts.created)
        samples.add(Self.live, counts.live)
        samples.add(Self.untracked, counts.untracked)
    }
}
