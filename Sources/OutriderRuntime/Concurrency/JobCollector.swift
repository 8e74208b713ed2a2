// SPDX-License-Identifier: Apache-2.0
// Counts jobs on the global executor, through a hook of the Swift runtime.

internal import COutriderRuntime
public import OutriderMetrics

/// Counts the jobs that are enqueued on the global executor; thread-safe.
///
/// All collectors of a process share one count, which starts with the first ``start()``. Costs one
/// relaxed addition per job; a previously installed hook is still called.
public struct JobCollector: Collector {
    /// Creates a collector; counting starts with ``start()``.
    public init() {}

    /// Starts counting; returns whether this runtime has the hook.
    @discardableResult
    public func start() -> Bool { outrider_jobs_start() == OUTRIDER_HOOK_ON }

    /// Stops counting; the hook stays installed and only passes calls on.
    public func stop() { outrider_jobs_stop() }

    /// Jobs counted so far.
    package static var enqueued: Int { Int(clamping: outrider_jobs_enqueued()) }

    /// `jobs`.
    public var name: String { "jobs" }

    private static let jobs = CollectedFamily.counter(
        "swift_jobs_enqueued_total", help: "Jobs enqueued on the global executor.")

    /// The one family.
    public var families: [CollectedFamily] { [Self.jobs] }

    /// Adds the count.
    public func collect(into samples: inout CollectedSamples) {
        samples.add(Self.jobs, Self.enqueued)
    }
}
