// SPDX-License-Identifier: Apache-2.0
// The native buckets of one series.
//
// Observations are counted in a segment: an atomic add, or one to the CPU's own row, in the bucket that
// the bits of the double tell. When one falls outside, a larger segment takes its place; where even the
// largest is too small, one of a coarser scale. What the old ones have counted stays in them, and a
// scrape adds all up. So nobody ever waits for buckets to be moved.
//
// Nothing is ever taken out of a segment. The scale only becomes coarser, and the segments of a scale only
// have more of a range, so there are few.
//
// The count never goes back to zero, even where finer buckets would be possible again. To a server, finer
// buckets are a counter that was reset, and a reset loses to each reader what was counted since its last
// scrape, unless the count stood still from then on. Nobody knows all readers, and what is rendered may
// reach none of them. Coarser buckets lose resolution, and no observation.

internal import OutriderThreading
internal import Synchronization

/// The native buckets of a histogram; thread-safe.
@safe final class NativeHistogram: Sendable {
    private struct State: Sendable {
        var positive: [NativeSegment] = []
        var negative: [NativeSegment] = []
        /// The scale and the threshold that new observations are seen with.
        var scale: NativeScale
        var zeroThreshold: Double
    }

    let buckets: NativeBuckets
    private let arena: CellArena
    /// The addresses of the segments that are counted in, which the state keeps; 0 before the first
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
        // ORDERING: acquire, so that who sees a segment sees its cells.
        let address =
            value < 0 ? negative.load(ordering: .acquiring) : positive.load(ordering: .acquiring)
        guard let segment = unsafe UnsafeRawPointer(bitPattern: address) else {
            return observeOutside(value)
        }
        // SAFETY: the state keeps every segment for as long as `self` lives.
        let isCounted = unsafe Unmanaged<NativeSegment>.fromOpaque(segment)
            ._withUnsafeGuaranteedRef { $0.count(value.magnitude) }
        if !isCounted { observeOutside(value) }
    }

    @inline(never)
    private func observeOutside(_ value: Double) {
        let magnitude = value.magnitude
        state.withLock { state in
            let segments = value < 0 ? state.negative : state.positive
            // Another thread may have made room meanwhile.
            if segments.last?.count(magnitude) == true { return }
            let segment = makeRoom(for: magnitude, among: segments, in: &state)
            _ = segment.count(magnitude)
            show(segment, isNegative: value < 0, in: &state)
        }
    }

    /// A segment with the bucket of a number and with those of all that was counted in `segments`.
    ///
    /// Of all, rather than of the last one: so each new segment has more of a range than any before, and
    /// values that wander to and fro need no further one.
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

    /// A new segment of the state's scale with these buckets in its middle.
    private func segment(for range: ClosedRange<Int>, in state: State) -> NativeSegment {
        let width = range.upperBound - range.lowerBound
        var count = NativeSegment.smallest
        while count < NativeSegment.largest, width >= count * 3 / 4 { count = count * 2 + 1 }
        return NativeSegment(
            state.scale, zeroThreshold: state.zeroThreshold,
            base: range.lowerBound - (count - 1 - width) / 2, count: count, in: arena)
    }

    /// Has observations counted in a segment from now on, new or not.
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
        if let place = segments.firstIndex(where: { $0 === segment }) { segments.remove(at: place) }
        segments.append(segment)
    }

    /// Buckets that there is room for, those of old segments included.
    var capacity: Int {
        state.withLock { ($0.positive + $0.negative).reduce(0) { $0 + $1.count } }
    }

    // MARK: - Scrapes

    /// The buckets as they are now, no more than the limit.
    ///
    /// If that takes coarser ones, later observations are counted in coarser ones too, so that no scrape
    /// shows finer buckets than the one before.
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

    /// Has observations counted with the scale and threshold of the state: in a segment that has the
    /// buckets of the range that was seen.
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
