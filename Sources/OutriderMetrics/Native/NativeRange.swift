// SPDX-License-Identifier: Apache-2.0
// From where to where the observations of a native histogram went.

/// The outermost buckets of a native histogram, in a scale.
struct NativeRange {
    let scale: NativeScale
    /// Nil without observations.
    let positive: ClosedRange<Int>?
    let negative: ClosedRange<Int>?

    /// The finest scale, no finer than one, in which a segment has room for the range, and a third of that
    /// besides.
    func finestScale(of finest: NativeScale) -> NativeScale {
        var scale = finest
        while !scale.isCoarsest {
            let widest = [false, true].compactMap { buckets(isNegative: $0, in: scale)?.count }
                .max()
            if (widest ?? 0) <= NativeSegment.largest * 3 / 4 { break }
            scale = scale.coarser
        }
        return scale
    }

    /// The range in another scale, coarser or finer.
    func buckets(isNegative: Bool, in other: NativeScale) -> ClosedRange<Int>? {
        guard let range = isNegative ? negative : positive else { return nil }
        let steps = other.schema - scale.schema
        if steps <= 0 {
            return scale.index(
                range.lowerBound, in: other)...scale.index(range.upperBound, in: other)
        }
        // A bucket has 2^steps of the finer ones, the last of which ends where it does.
        return ((range.lowerBound - 1) << steps) + 1...(range.upperBound << steps)
    }
}
