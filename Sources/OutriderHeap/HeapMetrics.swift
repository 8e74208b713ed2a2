// SPDX-License-Identifier: Apache-2.0
// The sampler's totals as metrics.

internal import COutriderHeap
internal import OutriderMetrics

/// The sampler's totals at one moment.
struct HeapMetrics {
    private let counters: outrider_heap_counters

    /// The current totals.
    static var now: HeapMetrics {
        var counters = outrider_heap_counters()
        unsafe outrider_heap_read_counters(&counters)
        return HeapMetrics(counters: counters)
    }

    /// Rounds an estimated object count to an integer.
    static func objects(_ shifted: UInt64) -> Int64 {
        let half = UInt64(1) << (UInt64(OUTRIDER_HEAP_OBJECT_SHIFT) - 1)
        return Int64(clamping: (shifted &+ half) >> UInt64(OUTRIDER_HEAP_OBJECT_SHIFT))
    }

    /// Thread time spent on sampling since the process started.
    var samplerNanoseconds: UInt64 { counters.sampler_ns }

    /// Estimated bytes in blocks that have not been freed.
    ///
    /// The parts of the sum may change while it is read, so it is slightly inexact, but never below
    /// 0.
    var liveBytes: Int { max(0, Int(Int64(bitPattern: counters.live_bytes))) }

    /// Why a profile has little or no content, and what to do about it.
    func hints(interval: Int) -> [String] {
        if interval == 0 {
            return [
                "Sampling is off; new allocations are not recorded. HeapProfiler.interval or OUTRIDER_HEAP_INTERVAL "
                    + "sets the mean bytes between samples."
            ]
        }
        guard counters.live_samples < Self.fewSamples else { return [] }
        let count = "\(counters.live_samples) of \(counters.samples) samples are of live blocks"
        if interval <= Self.finestAdvised {
            return ["\(count): the service allocates next to nothing."]
        }
        return [
            "\(count): one sample every \(interval) allocated bytes, on average. "
                + "OUTRIDER_HEAP_INTERVAL=\(Self.finestAdvised) shows more of a small or idle service."
        ]
    }

    /// Below this number, samples are too few to be meaningful.
    private static let fewSamples = 10
    /// The smallest interval that the hint suggests: some 100 samples per megabyte.
    private static let finestAdvised = 8_192

    private static let allocatedBytes = CollectedFamily.counter(
        "heap_allocated_bytes_total", help: "Bytes allocated, estimated from samples.")
    private static let allocatedObjects = CollectedFamily.counter(
        "heap_allocated_objects_total", help: "Blocks allocated, estimated from samples.")
    private static let liveBytes = CollectedFamily.gauge(
        "heap_live_bytes", help: "Bytes allocated and not freed, estimated from samples.")
    private static let liveObjects = CollectedFamily.gauge(
        "heap_live_objects", help: "Blocks allocated and not freed, estimated from samples.")
    private static let samples = CollectedFamily.gauge(
        "outrider_heap_samples", help: "Sampled blocks that have not been freed.")
    private static let taken = CollectedFamily.counter(
        "outrider_heap_samples_taken_total", help: "Heap samples taken.")
    private static let refused = CollectedFamily.counter(
        "outrider_heap_samples_refused_total",
        help: "Heap samples dropped: the table of live blocks or of stacks was full, or a lock was "
            + "held.", labels: ["reason"])
    private static let seconds = CollectedFamily.counter(
        "outrider_heap_sampler_seconds_total",
        help: "Thread time spent sampling, in seconds, estimated.")
    private static let truncated = CollectedFamily.counter(
        "outrider_profile_stacks_truncated_total",
        help: "Stacks that could not be unwound to their end.", labels: ["profile"])
    private static let interval = CollectedFamily.gauge(
        "outrider_heap_sampling_interval_bytes",
        help: "Mean bytes between two samples; 0 while sampling is off.")
    private static let hooks = CollectedFamily.gauge(
        "outrider_heap_hooks",
        help: "1 for the current state of the malloc hooks, 0 for the others.",
        labels: ["state"])

    /// All metric families.
    static let families = [
        allocatedBytes, allocatedObjects, liveBytes, liveObjects, samples, taken, refused, seconds,
        truncated, interval, hooks,
    ]

    private static let states: [(outrider_heap_state_t, String)] = [
        (OUTRIDER_HEAP_OFF, "off"), (OUTRIDER_HEAP_SAMPLING, "sampling"),
        (OUTRIDER_HEAP_REFUSED, "refused"), (OUTRIDER_HEAP_ABSENT, "absent"),
    ]

    /// Adds the metrics to a scrape.
    func add(to samples: inout CollectedSamples, state: outrider_heap_state_t, interval: Int) {
        samples.add(Self.allocatedBytes, Int(clamping: counters.allocated_bytes))
        samples.add(
            Self.allocatedObjects, Int(clamping: Self.objects(counters.allocated_objects)))
        samples.add(Self.liveBytes, liveBytes)
        let live = max(0, Int64(bitPattern: counters.live_objects))
        samples.add(Self.liveObjects, Int(clamping: Self.objects(UInt64(live))))
        samples.add(Self.samples, Int(clamping: counters.live_samples))
        samples.add(Self.taken, Int(clamping: counters.samples))
        samples.add(Self.refused, Int(clamping: counters.refused_live), "live_blocks")
        samples.add(Self.refused, Int(clamping: counters.refused_sites), "stacks")
        samples.add(Self.refused, Int(clamping: counters.missed_frees), "frees")
        samples.add(Self.seconds, Double(counters.sampler_ns) / 1e9)
        samples.add(Self.truncated, Int(clamping: counters.truncated_stacks), "heap")
        samples.add(Self.interval, interval)
        for (known, name) in Self.states { samples.add(Self.hooks, known == state ? 1 : 0, name) }
    }
}
