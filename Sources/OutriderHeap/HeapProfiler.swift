// SPDX-License-Identifier: Apache-2.0
// The heap profiler of this process: which stacks allocate, and what they still hold.
//
// Linking this module installs the malloc hooks, which pass everything on until a profiler starts
// them. All profilers share them, because the process has one heap.

internal import COutriderHeap
internal import COutriderStack
public import OutriderMetrics
public import OutriderProfile
internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A sampling heap profiler.
///
/// ```swift
/// import OutriderHeap
///
/// let agent = Agent.start(profiles: [HeapProfiler()])
/// ```
///
/// On average every 512 KiB of allocations, one block is recorded with its stack until it is freed;
/// the resulting estimates are unbiased. It costs 12 instructions for each `malloc` and its `free`,
/// and well below a microsecond for each sample (docs/heap.md). Thread-safe.
///
/// Allocations made while taking profiles, including their symbols and pages, are excluded.
///
/// Samples are kept in tables of fixed size: 65,536 live blocks and 16,384 different stacks.
/// Samples that do not fit are counted in `outrider_heap_samples_refused_total{reason}`.
public final class HeapProfiler: ProfileSource, LiveHeapSource, Collector {
    private struct State: Sendable {
        var budget: OverheadBudget?
        var log: @Sendable (_ isError: Bool, _ message: String) -> Void = { _, _ in }
    }

    private let configuration: Configuration
    private let state = Guarded(State())
    private let types = LiveTypes()

    /// Creates a profiler; sampling starts with an agent that it is passed to, or with
    /// ``start(log:)``.
    public init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
    }

    // MARK: - Sampling

    /// Starts sampling as configured, and logs if it cannot.
    ///
    /// If a process has several profilers, the last one started sets the interval. Takes a few
    /// milliseconds the first time.
    public func start(log: @escaping @Sendable (_ isError: Bool, _ message: String) -> Void) {
        OwnWork.setSwitches(pause: outrider_heap_pause, resume: outrider_heap_resume)
        let (interval, problem) = configuration.resolvedInterval()
        if let problem { log(true, problem) }
        state.withLock { state in
            state.log = log
            state.budget = newBudget(for: interval)
        }
        outrider_stack_prepare_tables()
        if interval > 0 { outrider_heap_start(UInt64(interval)) }
        switch outrider_heap_state() {
        case OUTRIDER_HEAP_REFUSED, OUTRIDER_HEAP_ABSENT:
            log(
                true,
                "heap profiles are unavailable: \(Self.refusal). All calls go to the next "
                    + "allocator; see docs/heap.md.")
        default: break
        }
    }

    /// Mean bytes between two samples; 0 while sampling is off.
    ///
    /// Each thread picks up a change after at most 1 MiB of its allocations. Existing samples keep
    /// their weight, so estimates stay correct. Setting it to 0 stops sampling; sampled blocks stay
    /// recorded until they are freed.
    public var interval: Int {
        get { Int(clamping: outrider_heap_interval()) }
        set {
            state.withLock { state in
                state.budget = newBudget(for: newValue)
                if newValue > 0 {
                    outrider_heap_start(UInt64(newValue))
                } else {
                    outrider_heap_stop()
                }
            }
        }
    }

    /// Creates the budget for an interval and passes it to the sampler; nil if there is no limit.
    private func newBudget(for interval: Int) -> OverheadBudget? {
        let isKept = configuration.budget > 0 && interval > 0
        let budget =
            isKept ? OverheadBudget(share: configuration.budget, interval: UInt64(interval)) : nil
        outrider_heap_set_budget(budget?.nanoseconds ?? 0)
        return budget
    }

    /// Estimated bytes in use; nil while sampling is off.
    ///
    /// Blocks allocated before sampling started are not included.
    public var liveHeapBytes: Int? { isSampling ? HeapMetrics.now.liveBytes : nil }

    /// Whether sampling is on.
    public var isSampling: Bool { outrider_heap_state() == OUTRIDER_HEAP_SAMPLING }

    /// The file of the allocator behind the hooks, as the loader names it.
    public var allocator: String { unsafe String(cString: outrider_heap_allocator()) }

    /// Seeds the calling thread's random number generator, for repeatable tests.
    package static func seed(_ seed: UInt64) { outrider_heap_seed(seed) }

    private static var refusal: String { unsafe String(cString: outrider_heap_refusal()) }

    // MARK: - Profiles

    /// `heap` (memory in use) and `allocs` (memory allocated since the start).
    public var kinds: [ProfileKind] { [Self.heap, Self.allocs] }

    private static let heap = ProfileKind(
        "heap", summary: "memory in use, by the stacks that allocated it",
        defaultSampleType: "inuse_space")
    private static let allocs = ProfileKind(
        "allocs", summary: "all memory allocated since the start, freed or not",
        defaultSampleType: "alloc_space")

    /// Takes a profile; some milliseconds, more with many types.
    public func snapshot(of kind: ProfileKind) throws(ProfileUnavailable) -> Profile {
        switch outrider_heap_state() {
        case OUTRIDER_HEAP_REFUSED, OUTRIDER_HEAP_ABSENT:
            throw ProfileUnavailable("heap profiles are unavailable: \(Self.refusal)")
        default: break
        }
        // Exclude the profile's own allocations.
        return OwnWork.run {
            maintain()
            let snapshot = HeapSnapshot(
                kind: kind, interval: max(1, interval),
                types: configuration.showsTypes && kind == Self.heap ? types : nil)
            return snapshot.profile(comments: comments)
        }
    }

    /// Comments in the profile: the allocator, and what to do if the profile is nearly empty.
    private var comments: [String] {
        ["allocator: \(allocator)"] + HeapMetrics.now.hints(interval: interval)
    }

    /// Housekeeping, done during scrapes and profiles: the profiler has no timer or thread.
    private func maintain() {
        outrider_heap_update_modules()
        ModuleHistory.shared.update()
        outrider_stack_prepare_tables()
        let counters = HeapMetrics.now
        let report: (message: String, log: @Sendable (Bool, String) -> Void)? = state.withLock {
            state in
            let current = outrider_heap_interval()
            guard isSampling,
                let change = state.budget?.evaluate(
                    samplerNanoseconds: counters.samplerNanoseconds,
                    interval: current, at: monotonicNanoseconds())
            else { return nil }
            // The sampler has already applied a wider one.
            if change.interval < current { outrider_heap_start(change.interval) }
            return (change.description, state.log)
        }
        if let report { report.log(false, report.message) }
    }

    private func monotonicNanoseconds() -> UInt64 {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        return UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
    }

    // MARK: - Metrics

    /// `heap`.
    public var name: String { "heap" }

    /// The sampler's totals and its overhead.
    public var families: [CollectedFamily] { HeapMetrics.families }

    /// Adds the current metrics of the sampler; takes a microsecond or two.
    public func collect(into samples: inout CollectedSamples) {
        OwnWork.run { maintain() }
        HeapMetrics.now.add(to: &samples, state: outrider_heap_state(), interval: interval)
    }
}
