// SPDX-License-Identifier: Apache-2.0
// The native buckets of one series.
//
// Observations are counted in a segment: an atomic add, or one to the CPU's own row, in the bucket that
// the bits of the double tell. When one falls outside, a larger segment takes its place; where even the
// largest is too small, one of a coarser scale. What the old ones have counted stays in them, and a
// scrape adds all up. So nobody ever waits for buckets to be moved.

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
            let segment = makeRoom(for: magnitude, beside: segments.last, in: &state)
            _ = segment.count(magnitude)
            show(segment, isNegative: value < 0, in: &state)
        }
    }

    /// A segment with the bucket of a number and with those of `old` that have counted something.
    private func makeRoom(
        for magnitude: Double, beside old: NativeSegment?, in state: inout State
    ) -> NativeSegment {
        let isZero = magnitude <= state.zeroThreshold
        var (low, high) = (0, 0)
        while true {
            var indexes = isZero ? [] : [state.scale.index(of: magnitude)]
            if let old {
                let numbers = old.numbers
                for position in 0..<old.count where numbers.integer(at: position + 1) != 0 {
                    indexes.append(old.scale.index(old.base + position, in: state.scale))
                }
            }
            low = indexes.min() ?? 0
            high = indexes.max() ?? low
            if high - low < NativeSegment.largest || state.scale.isCoarsest { break }
            state.scale = state.scale.coarser
        }
        var count = NativeSegment.smallest
        while count < NativeSegment.largest, high - low >= count * 3 / 4 { count = count * 2 + 1 }
        return NativeSegment(
            state.scale, zeroThreshold: state.zeroThreshold,
            base: low - (count - 1 - high + low) / 2,
            count: count, in: arena)
    }

    /// Has observations counted in a segment from now on.
    private func show(_ segment: NativeSegment, isNegative: Bool, in state: inout State) {
        let address = unsafe UInt(bitPattern: Unmanaged.passUnretained(segment).toOpaque())
        // ORDERING: release; see `observe`.
        if isNegative {
            state.negative.append(segment)
            negative.store(address, ordering: .releasing)
        } else {
            state.positive.append(segment)
            positive.store(address, ordering: .releasing)
        }
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
            let isReduced = snapshot.reduce(to: buckets.limit, buckets.maximumZeroThreshold)
            let isCoarse =
                snapshot.scale.schema != buckets.schema
                || snapshot.zeroThreshold != buckets.zeroThreshold
            let now = arena.surroundings.clock.uptime
            if isCoarse, let interval = buckets.resetInterval, now - state.start >= interval {
                snapshot.isLast = true
                snapshot.takeAway()
                state.start = now
                state.scale = .of(buckets.schema)
                state.zeroThreshold = buckets.zeroThreshold
            } else if isReduced {
                state.scale = snapshot.scale
                state.zeroThreshold = snapshot.zeroThreshold
            } else {
                return snapshot
            }
            resume(&state)
            return snapshot
        }
    }

    /// Has observations counted with the scale and threshold of the state: in a segment that was made
    /// for them before, or in a new one.
    private func resume(_ state: inout State) {
        for isNegative in [false, true] {
            let segments = isNegative ? state.negative : state.positive
            guard let last = segments.last else { continue }
            let known = segments.lastIndex {
                $0.scale.schema == state.scale.schema && $0.zeroThreshold == state.zeroThreshold
            }
            if let known {
                if isNegative {
                    state.negative.remove(at: known)
                } else {
                    state.positive.remove(at: known)
                }
                show(segments[known], isNegative: isNegative, in: &state)
            } else {
                // Of a number that is zero, it has the buckets of the old one alone.
                show(makeRoom(for: 0, beside: last, in: &state), isNegative: isNegative, in: &state)
            }
        }
    }
}
