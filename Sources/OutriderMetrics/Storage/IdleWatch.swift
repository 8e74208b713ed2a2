// SPDX-License-Identifier: Apache-2.0
// The state that a scrape keeps for a series, so that the next one can detect a change.
//
// A series has one or more integer cells, and last one cell for fractions: a counter has one of
// each, a histogram has its buckets and the sum. Integers only grow, so every change changes their
// sum.

/// A digest of the numbers of a series.
struct ValueDigest: Hashable, Sendable {
    private var whole: UInt64 = 0
    private var fraction: UInt64 = 0

    /// The digest of a series without recordings.
    static let none = ValueDigest()

    private init() {}

    /// Creates a digest of the `count` numbers of a series.
    init(_ numbers: SeriesValues, count: Int) {
        for offset in 0..<count - 1 { whole &+= numbers.integer(at: offset) }
        fraction = numbers.double(at: count - 1).bitPattern
    }
}

/// The last scrape's observation of a series, and since when it has not changed.
struct IdleWatch: Sendable {
    var seen = ValueDigest.none
    /// The clock's uptime at the end of the first check that saw these numbers, nil before it;
    /// after they were delivered, the time of the check of the delivered scrape.
    var since: Duration?
    /// Whether a scrape that exposed these numbers was delivered.
    var isDelivered = false
}
