// SPDX-License-Identifier: Apache-2.0
// The heap of this process: who allocates, and what of it is still there.
//
// Linking this module brings the malloc hooks into the process; they pass everything on until a profiler
// starts them. All profilers share them, as there is one heap.

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
/// Every 512 KiB of allocations on average, one is remembered with its stack until it is freed; the
/// estimates that come of it are unbiased. It costs 12 instructions for each `malloc` and its `free`, and
/// well below a microsecond for each sample (docs/heap.md). Thread-safe.
///
/// What profiles take themselves, their names and pages included, is left out of them.
///
/// Samples are kept in tables of fixed size: 65,536 live blocks and 16,384 different stacks. What
/// does not fit is counted in `outrider_heap_samples_refused_total{reason}`.
public final class HeapProfiler: ProfileSource, LiveHeapSource, Collector {
    private struct State: Sendable {
        var budget: OverheadBudget?
        var log: @Sendable (_ isError: Bool, _ message: String) -> Void = { _, _ in }
    }

    private let configuration: Configuration
    private let state = Guarded(State())
    private let types = LiveTypes()

    /// A profiler; sampling begins when an agent starts with it, or at ``start(log:)``.
    public init(_ configuration: Configuration = Configuration()) {
        self.configuration = configuration
    }

    // MARK: - Sampling

    /// Starts sampling as the configuration says, and says so where it cannot.
    ///
    /// Of several profilers in a process, the last one to start sets the interval. Takes a few
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
                "there will be no heap profile: \(Self.refusal). Everything is passed on to the "
                    + "allocator behind; docs/heap.md tells what to do.")
        default: break
        }
    }

    /// Mean bytes between two samples; 0 while sampling is off.
    ///
    /// Threads notice a change after at most 1 MiB of allocations of theirs. What was sampled before
    /// keeps its weight, so estimates stay right. Setting it to 0 switches sampling off; blocks
    /// that were sampled stay known until they are freed.
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

    /// A budget for an interval, of which the sampler is told; nil if there is none to keep.
    private func newBudget(for interval: Int) -> OverheadBudget? {
        let isKept = configuration.budget > 0 && interval > 0
        let budget =
            isKept ? OverheadBudget(share: configuration.budget, interval: UInt64(interval)) : nil
        outrider_heap_set_budget(budget?.nanoseconds ?? 0)
        return budget
    }

    /// Bytes in use, estimated from samples; nil while none are taken.
    ///
    /// Blocks from before sampling started are not in it.
    public var liveHeapBytes: Int? { isSampling ? HeapFigures.now.liveBytes : nil }

    /// Whether samples are taken.
    public var isSampling: Bool { outrider_heap_state() == OUTRIDER_HEAP_SAMPLING }

    /// The file of the allocator that stands behind the hooks, as the loader knows it.
    public var allocator: String { unsafe String(cString: outrider_heap_allocator()) }

    /// Makes the calling thread's chance repeatable.
    package static func seed(_ seed: UInt64) { outrider_heap_seed(seed) }

    private static var refusal: String { unsafe String(cString: outrider_heap_refusal()) }

    // MARK: - Profiles

    /// `heap` (what is in use) and `allocs` (what was allocated since the start).
    public var kinds: [ProfileKind] { [Self.heap, Self.allocs] }

    private static let heap = ProfileKind(
        "heap", summary: "memory in use, by the stacks that allocated it",
        defaultSampleType: "inuse_space")
    private static let allocs = ProfileKind(
        "allocs", summary: "all memory allocated since the start, freed or not",
        defaultSampleType: "alloc_space")

    /// What is known now; some milliseconds, more with many types.
    public func snapshot(of kind: ProfileKind) throws(ProfileUnavailable) -> Profile {
        switch outrider_heap_state() {
        case OUTRIDER_HEAP_REFUSED, OUTRIDER_HEAP_ABSENT:
            throw ProfileUnavailable("there is no heap profile: \(Self.refusal)")
        default: break
        }
        // What a profile takes itself is no part of it.
        return OwnWork.run {
            keepHouse()
            let snapshot = HeapSnapshot(
                kind: kind, interval: max(1, interval),
                types: configuration.showsTypes && kind == Self.heap ? types : nil)
            return snapshot.profile(comments: comments)
        }
    }

    /// What a reader should know: the allocator, and what to do about a profile in which there is nothing.
    private var comments: [String] {
        ["allocator: \(allocator)"] + HeapFigures.now.hints(interval: interval)
    }

    /// What has to be done now and then, by whoever comes along: nothing of ours wakes up for it.
    private func keepHouse() {
        outrider_heap_look_at_modules()
        ModuleHistory.shared.look()
        outrider_stack_prepare_tables()
        let figures = HeapFigures.now
        let told: (message: String, log: @Sendable (Bool, String) -> Void)? = state.withLock {
            state in
            let current = outrider_heap_interval()
            guard isSampling,
                let change = state.budget?.look(
                    samplerNanoseconds: figures.samplerNanoseconds,
                    interval: current, at: monotonicNanoseconds())
            else { return nil }
            // A wider one holds already.
            if change.interval < current { outrider_heap_start(change.interval) }
            return (change.description, state.log)
        }
        if let told { told.log(false, told.message) }
    }

    private func monotonicNanoseconds() -> UInt64 {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        return UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
    }

    // MARK: - Metrics

    /// `heap`.
    public var name: String { "heap" }

    /// What the sampler knows in sum, and how it fares.
    public var families: [CollectedFamily] { HeapFigures.families }

    /// Adds the sampler's figures of this moment; a microsecond or two.
    public func collect(into samples: inout CollectedSamples) {
        OwnWork.run { keepHouse() }
        HeapFigures.now.add(to: &samples, state: outrider_heap_state(), interval: interval)
    }
}
