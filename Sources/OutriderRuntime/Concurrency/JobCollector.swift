// SPDX-License-Identifier: Apache-2.0
// Jobs on the global executor, counted by the hook that the runtime has for that.

internal import COutriderRuntime
public import OutriderMetrics

/// Counts the jobs that are enqueued on the global executor; thread-safe.
///
/// All collectors of a process count together, from the first ``start()`` on. A relaxed addition for
/// each job; a hook that was there before goes on being called.
public struct JobCollector: Collector {
    /// A collector; counting begins with ``start()``.
    public init() {}

    /// Starts counting; tells whether this runtime has a hook for it.
    @discardableResult
    public func start() -> Bool { outrider_jobs_start() == OUTRIDER_HOOK_ON }

    /// Stops counting; the hook stays and does nothing but pass on.
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
