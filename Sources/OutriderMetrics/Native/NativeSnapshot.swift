// SPDX-License-Identifier: Apache-2.0
// A snapshot of a series' native buckets, and the reduction to their limit.

/// A native histogram in a scrape.
struct NativeSnapshot {
    /// A bucket with a count.
    struct Bucket {
        var index: Int
        var count: UInt64
    }

    private(set) var scale: NativeScale
    private(set) var zeroThreshold: Double
    private(set) var zeroCount: UInt64 = 0
    /// Sorted by index.
    private(set) var positive: [Bucket] = []
    private(set) var negative: [Bucket] = []

    init(_ scale: NativeScale, zeroThreshold: Double) {
        self.scale = scale
        self.zeroThreshold = zeroThreshold
    }

    /// The number of observations in all buckets.
    var count: UInt64 {
        (positive + negative).reduce(zeroCount) { $0 &+ $1.count }
    }

    /// Adds the counts of a segment whose scale is not coarser than this one.
    mutating func add(_ segment: NativeSegment, isNegative: Bool) {
        let numbers = segment.numbers
        for offset in 0...segment.count {
            let count = numbers.integer(at: offset)
            if count == 0 { continue }
            let index = segment.scale.index(segment.base + offset - 1, in: scale)
            if offset == 0 || scale.upperBound(of: index) <= zeroThreshold {
                zeroCount &+= count
            } else if isNegative {
                negative.append(Bucket(index: index, count: count))
            } else {
                positive.append(Bucket(index: index, count: count))
            }
        }
    }

    /// Sorts the buckets, and merges those with the same index.
    mutating func sort() {
        positive = Self.merged(positive)
        negative = Self.merged(negative)
    }

    private static func merged(_ buckets: [Bucket]) -> [Bucket] {
        var result: [Bucket] = []
        for bucket in buckets.sorted(by: { $0.index < $1.index }) {
            if let last = result.last, last.index == bucket.index {
                result[result.count - 1].count &+= bucket.count
            } else {
                result.append(bucket)
            }
        }
        return result
    }

    /// The range from the first to the last bucket with a count.
    var range: NativeRange {
        NativeRange(scale: scale, positive: Self.range(positive), negative: Self.range(negative))
    }

    private static func range(_ buckets: [Bucket]) -> ClosedRange<Int>? {
        guard let first = buckets.first, let last = buckets.last else { return nil }
        return first.index...last.index
    }

    /// Reduces the number of buckets to `limit`; returns whether anything changed.
    mutating func reduce(to limit: Int, _ maximumZeroThreshold: Double) -> Bool {
        var isChanged = false
        while positive.count + negative.count > limit {
            if !widenZero(upTo: maximumZeroThreshold) {
                if scale.isCoarsest { return isChanged }
                coarsen()
            }
            isChanged = true
        }
        return isChanged
    }

    /// Merges the buckets nearest to zero into the zero bucket.
    private mutating func widenZero(upTo maximum: Double) -> Bool {
        let nearest = [positive.first?.index, negative.first?.index].compactMap(\.self).min()
        guard let nearest else { return false }
        let bound = scale.upperBound(of: nearest)
        if bound > maximum { return false }
        zeroThreshold = bound
        for bucket in [positive.first, negative.first] where bucket?.index == nearest {
            zeroCount &+= bucket?.count ?? 0
        }
        if positive.first?.index == nearest { positive.removeFirst() }
        if negative.first?.index == nearest { negative.removeFirst() }
        return true
    }

    /// Merges every two neighbours.
    private mutating func coarsen() {
        let coarser = scale.coarser
        for index in positive.indices {
            positive[index].index = scale.index(positive[index].index, in: coarser)
        }
        for index in negative.indices {
            negative[index].index = scale.index(negative[index].index, in: coarser)
        }
        scale = coarser
        sort()
    }
}
