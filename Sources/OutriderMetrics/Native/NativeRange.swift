// SPDX-License-Identifier: Apache-2.0
// The range of a native histogram's observations.

/// The outermost buckets of a native histogram, in a scale.
struct NativeRange {
    let scale: NativeScale
    /// Nil if there are no observations.
    let positive: ClosedRange<Int>?
    let negative: ClosedRange<Int>?

    /// The range in another scale, which must not be finer than this one.
    func buckets(isNegative: Bool, in other: NativeScale) -> ClosedRange<Int>? {
        guard let range = isNegative ? negative : positive else { return nil }
        return scale.index(range.lowerBound, in: other)...scale.index(range.upperBound, in: other)
    }
}
