// SPDX-License-Identifier: Apache-2.0
// The native buckets of one series.
//
// A segment is a run of buckets. An observation is counted in the current segment, in the bucket
// that the bits of the double select: one atomic add, or one add to the CPU's own row. If the
// bucket is outside the segment, a larger segment replaces it; if even the largest is too small,
// one of a coarser scale does. Old segments keep their counts, and a scrape adds up all segments.
// So no thread waits for buckets to be moved.
//
// Counts are never taken out of a segment. The scale only gets coarser, and each new segment of a
// scale covers a larger range, so there are few segments.
//
// The count never goes back to zero, even if finer buckets would be possible again. To a server,
// finer buckets mean that the counter was reset, and after a reset each reader loses the
// observations since its last scrape, unless there were none. The set of readers is unknown, and a
// rendered scrape may not reach any of them. Coarser buckets lose resolution, but no observations.

internal import OutriderThreading
internal import Synchronization

/// The native buckets of a histogram; thread-safe.
@safe final class NativeHistogram: Sendable {
    private struct State: Sendable {
        var positive: [NativeSegment] = []
        var negative: [NativeSegment] = []
        /// The scale and the zero threshold of new observations.
        var scale: NativeScale
        var zeroThreshold: Double
    }

    let buckets: NativeBuckets
    private let arena: CellArena
    /// The addresses of the current segments, which the state keeps alive; 0 before the first
    /// observation.
    private let positive = Atomic<UInt>(0)
    private let negative = Atomic<UInt>(0)
    private let state: Guarded<State>

    init(_ buckets: NativeBuckets, in arena: CellArena) {
        self.buckets = buckets
        self.arena = arena
        state = Guarded(
            State(scale: .of(buckets.schema), zeroThreshold: buckets.zeroThreshold))
    }

    /// Counts one observation, a finite number.
    @inline(__always)
    func observe(_ value: Double) {
        // ORDERING: acquire, so that a thread that sees a segment sees its cells.
        let address =
            value < 0 ? negative.load(ordering: .acquiring) : positive.load(ordering: .acquiring)
        guard let segment = unsafe UnsafeRawPointer(bitPattern: address) else {
            return observeOutside(value)
        }
        // SAFETY: the state keeps every segment alive as long as `self`.
        let isCounted = unsafe Unmanaged<NativeSegment>.fromOpaque(segment)
            ._withUnsafeGuaranteedRef { $0.count(value.magnitude) }
        if !isCounted { observeOutside(value) }
    }

    @inline(never)
    private func observeOutside(_ value: Double) {
        let magnitude = value.magnitude
        state.withLock { state in
            let segments = value < 0 ? state.negative : state.positive
            // Another thread may have replaced the segment already.
            if segments.last?.count(magnitude) == true { return }
            let segment = makeRoom(for: magnitude, among: segments, in: &state)
            _ = segment.count(magnitude)
            show(segment, isNegative: value < 0, in: &state)
        }
    }

    /// A segment that covers the bucket of a number and all buckets counted in `segments`.
    ///
    /// It covers all segments rather than the last one, so each new segment covers a larger range
    /// than any before, and values that alternate between ranges do not need further ones.
    private func makeRoom(
        for magnitude: Double, among segments: [NativeSegment], in state: inout State
    ) -> NativeSegment {
        let counted = segments.compactMap { segment in
            segment.counted.map { (scale: segment.scale, range: $0) }
        }
        while true {
            let index = state.scale.index(of: magnitude)
            var (low, high) = (index, index)
            for (scale, range) in counted {
                low = min(low, scale.index(range.lowerBound, in: state.scale))
                high = max(high, scale.index(range.upperBound, in: state.scale))
            }
            if high - low < NativeSegment.largest || state.scale.isCoarsest {
                return segment(for: low...high, in: state)
            }
            state.scale = state.scale.coarser
        }
    }

    /// A new segment of the state's scale, with these buckets in its middle.
    private func segment(for range: ClosedRange<Int>, in state: State) -> NativeSegment {
        let width = range.upperBound - range.lowerBound
        var count = NativeSegment.smallest
        while count < NativeSegment.largest, width >= count * 3 / 4 { count = count * 2 + 1 }
        return NativeSegment(
            state.scale, zeroThreshold: state.zeroThreshold,
            base: range.lowerBound - (count - 1 - width) / 2, count: count, in: arena)
    }

    /// Makes a segment, new or old, the current one.
    private func show(_ segment: NativeSegment, isNegative: Bool, in state: inout State) {
        let address = unsafe UInt(bitPattern: Unmanaged.passUnretained(segment).toOpaque())
        // ORDERING: release; see `observe`.
        if isNegative {
            put(segment, last: &state.negative)
            negative.store(address, ordering: .releasing)
        } else {
            put(segment, last: &state.positive)
            positive.store(address, ordering: .releasing)
        }
    }

    private func put(_ segment: NativeSegment, last segments: inout [NativeSegment]) {
        if let index = segments.firstIndex(where: { $0 === segment }) { segments.remove(at: index) }
        segments.append(segment)
    }

    /// The number of allocated buckets, including those of old segments.
    var capacity: Int {
        state.withLock { ($0.positive + $0.negative).reduce(0) { $0 + $1.count } }
    }

    // MARK: - Scrapes

    /// The current buckets, at most the limit.
    ///
    /// If the limit requires coarser buckets, later observations are counted in coarser ones too,
    /// so no scrape has finer buckets than the one before.
    func snapshot() -> NativeSnapshot {
        state.withLock { state in
            var snapshot = NativeSnapshot(state.scale, zeroThreshold: state.zeroThreshold)
            for segment in state.positive { snapshot.add(segment, isNegative: false) }
            for segment in state.negative { snapshot.add(segment, isNegative: true) }
            snapshot.sort()
            let range = snapshot.range
            if snapshot.reduce(to: buckets.limit, buckets.maximumZeroThreshold) {
                state.scale = snapshot.scale
                state.zeroThreshold = snapshot.zeroThreshold
                resume(&state, range)
            }
            return snapshot
        }
    }

    /// Makes a segment with the state's scale and threshold current, which covers the buckets of
    /// the range seen so far.
    private func resume(_ state: inout State, _ seen: NativeRange) {
        for isNegative in [false, true] {
            let segments = isNegative ? state.negative : state.positive
            guard let last = segments.last else { continue }
            guard let range = seen.buckets(isNegative: isNegative, in: state.scale) else {
                last.zeroThreshold = state.zeroThreshold
                continue
            }
            let known = segments.last { segment in
                segment.scale.schema == state.scale.schema && segment.base <= range.lowerBound
                    && range.upperBound < segment.base + segment.count
            }
            known?.zeroThreshold = state.zeroThreshold
            show(
                known ?? segment(for: range, in: state), isNegative: isNegative, in: &state)
        }
    }
}
