// SPDX-License-Identifier: Apache-2.0
// The native buckets of one series.
//
// Observations are counted in a segment: an atomic add, or one to the CPU's own row, in the bucket that
// the bits of the double tell. When one falls outside, a larger segment takes its place; where even the
// largest is too small, one of a coarser scale. What the old ones have counted stays in them, and a
// scrape adds all up. So nobody ever waits for buckets to be moved.
//
// Old segments are kept, since a thread may be about to count in one, and used again once a reset has
// emptied them. Between two resets the scale only becomes coarser and segments of a scale only larger, so
// there are few. A reset chooses the scale and the segments by the range that it saw: where that stays as
// it is, no further segment is needed.

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
        /// When it last counted from zero.
        var start: Duration
    }

    /// How long a segment rests before other buckets may take its place: much longer than any thread
    /// is held up between loading its address and counting in it.
    private static let rest = Duration.seconds(60)

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
            State(
                scale: .of(buckets.schema), zeroThreshold: buckets.zeroThreshold,
                start: arena.surroundings.clock.uptime))
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

    /// A segment with the bucket of a number and with those of the last of `segments` that have counted
    /// something.
    private func makeRoom(
        for magnitude: Double, among segments: [NativeSegment], in state: inout State
    ) -> NativeSegment {
        let old = segments.last
        // The largest one is not moved to and fro while it has counted something.
        var isSettled = old?.count == NativeSegment.largest && old?.isEmpty == false
        while true {
            isSettled = isSettled && old?.scale.schema == state.scale.schema
            var indexes = [state.scale.index(of: magnitude)]
            if let old {
                let numbers = old.numbers
                for position in 0..<old.count where numbers.integer(at: position + 1) != 0 {
                    indexes.append(old.scale.index(old.base + position, in: state.scale))
                }
            }
            let low = indexes.min() ?? 0
            let high = indexes.max() ?? low
            if high - low < NativeSegment.largest && !isSettled || state.scale.isCoarsest {
                return segment(for: low...high, among: segments, in: state)
            }
            state.scale = state.scale.coarser
        }
    }

    /// A segment of the state's scale with these buckets in its middle: one that rests, or a new one.
    private func segment(
        for range: ClosedRange<Int>, among segments: [NativeSegment], in state: State
    ) -> NativeSegment {
        let width = range.upperBound - range.lowerBound
        var count = NativeSegment.smallest
        while count < NativeSegment.largest, width >= count * 3 / 4 { count = count * 2 + 1 }
        let spare = spare(of: state.scale, atLeast: count, among: segments)
        count = spare?.count ?? count
        let base = range.lowerBound - (count - 1 - width) / 2
        guard let spare else {
            return NativeSegment(
                state.scale, zeroThreshold: state.zeroThreshold, base: base, count: count, in: arena
            )
        }
        spare.base = base
        spare.zeroThreshold = state.zeroThreshold
        return spare
    }

    /// The smallest segment of a scale with so many buckets that nobody counts in and that is empty.
    private func spare(
        of scale: NativeScale, atLeast count: Int, among segments: [NativeSegment]
    ) -> NativeSegment? {
        let now = arena.surroundings.clock.uptime
        return segments.dropLast().filter { segment in
            segment.scale.schema == scale.schema && segment.count >= count
                && now - segment.retired >= Self.rest && segment.isEmpty
        }.min { $0.count < $1.count }
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
        segments.last?.retired = arena.surroundings.clock.uptime
        if let place = segments.firstIndex(where: { $0 === segment }) { segments.remove(at: place) }
        segments.append(segment)
    }

    /// Buckets that there is room for, those of resting segments included.
    var capacity: Int {
        state.withLock { ($0.positive + $0.negative).reduce(0) { $0 + $1.count } }
    }

    // MARK: - Scrapes

    /// The buckets as they are now, no more than the limit.
    ///
    /// If they have become coarser than they began, and it is time, they count from zero again: by what
    /// this snapshot has, so that nothing is lost which comes meanwhile. Then ``NativeSnapshot/isLast``
    /// is set.
    func snapshot() -> NativeSnapshot {
        state.withLock { state in
            var snapshot = NativeSnapshot(state.scale, zeroThreshold: state.zeroThreshold)
            for segment in state.positive { snapshot.add(segment, isNegative: false) }
            for segment in state.negative { snapshot.add(segment, isNegative: true) }
            snapshot.sort()
            let range = snapshot.range
            let isReduced = snapshot.reduce(to: buckets.limit, buckets.maximumZeroThreshold)
            let isCoarse =
                snapshot.scale.schema != buckets.schema
                || snapshot.zeroThreshold != buckets.zeroThreshold
            let now = arena.surroundings.clock.uptime
            if isCoarse, let interval = buckets.resetInterval, now - state.start >= interval {
                snapshot.isLast = true
                snapshot.takeAway()
                state.start = now
                state.scale = range.finestScale(of: .of(buckets.schema))
                state.zeroThreshold = buckets.zeroThreshold
            } else if isReduced {
                state.scale = snapshot.scale
                state.zeroThreshold = snapshot.zeroThreshold
            } else {
                return snapshot
            }
            resume(&state, range)
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
                known ?? segment(for: range, among: segments, in: state), isNegative: isNegative,
                in: &state)
        }
    }
}
