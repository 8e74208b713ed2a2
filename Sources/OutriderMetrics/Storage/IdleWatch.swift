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

    /// The numbers of the series whose first of `count` cells this is.
    init(_ first: Cell, count: Int) {
        for offset in 0..<count - 1 { whole &+= first.advanced(by: offset).integer }
        fraction = first.advanced(by: count - 1).integer
    }

    /// Sets a series back to zero if these are its numbers; tells whether they were.
    ///
    /// Observations may come in between. If one does, it stays, and what was taken is put back.
    func reset(_ first: Cell, count: Int) -> Bool {
        let taken = (0..<count).map { first.advanced(by: $0).take() }
        var found = NumbersSeen()
        for bits in taken.dropLast() { found.whole &+= bits }
        found.fraction = taken.last ?? 0
        if found == self { return true }
        for (offset, bits) in taken.enumerated() {
            let cell = first.advanced(by: offset)
            if offset == count - 1 {
                cell.add(Double(bitPattern: bits))
            } else {
                cell.add(bits)
            }
        }
        return false
    }
}

/// What the last scrape saw of a series, and since when nothing else was seen.
struct IdleWatch: Sendable {
    var seen = NumbersSeen.none
    /// The clock's uptime; nil before the end of the first look that saw these numbers.
    var since: Duration?
}
