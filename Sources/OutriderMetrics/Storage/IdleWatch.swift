// SPDX-License-Identifier: Apache-2.0
// What a scrape remembers of a series, to tell at the next one whether something happened.
//
// A series has some cells for whole numbers and one, the last, for fractions: a counter one and one,
// a histogram its buckets and the sum. The whole numbers only grow, so their sum tells of each change.

/// The numbers of a series in short.
struct NumbersSeen: Hashable, Sendable {
    private var whole: UInt64 = 0
    private var fraction: UInt64 = 0

    /// Those of a series that nothing was recorded on.
    static let none = NumbersSeen()

    private init() {}

    /// The `count` numbers of a series.
    init(_ numbers: SeriesNumbers, count: Int) {
        for offset in 0..<count - 1 { whole &+= numbers.integer(at: offset) }
        fraction = numbers.double(at: count - 1).bitPattern
    }
}

/// What the last scrape saw of a series, and since when nothing else was seen.
struct IdleWatch: Sendable {
    var seen = NumbersSeen.none
    /// The clock's uptime at the end of the first look that saw these numbers, nil before it; from when
    /// they were delivered on, at the look of the scrape that was.
    var since: Duration?
    /// Whether a scrape that showed these numbers was delivered.
    var isDelivered = false
}
