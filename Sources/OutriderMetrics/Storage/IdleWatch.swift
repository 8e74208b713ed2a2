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

    /// Sets a series back to zero if these are its numbers; tells whether they were.
    ///
    /// Observations may come in between. If one does, it stays, and what was taken is put back.
    func reset(_ numbers: SeriesNumbers, count: Int) -> Bool {
        if numbers.place != 0 { return resetRows(numbers, count: count) }
        let first = numbers.cell
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

    /// The same of a series with rows, which belong to their CPUs: its cells take away what is in them.
    private func resetRows(_ numbers: SeriesNumbers, count: Int) -> Bool {
        guard NumbersSeen(numbers, count: count) == self else { return false }
        let whole = (0..<count - 1).map { numbers.integer(at: $0) }
        let fraction = numbers.double(at: count - 1)
        for (offset, number) in whole.enumerated() {
            numbers.cell.advanced(by: offset).add(0 &- number)
        }
        numbers.clearDouble(at: count - 1)
        if NumbersSeen(numbers, count: count) == .none { return true }
        for (offset, number) in whole.enumerated() {
            numbers.cell.advanced(by: offset).add(number)
        }
        numbers.cell.advanced(by: count - 1).add(fraction)
        return false
    }
}

/// What the last scrape saw of a series, and since when nothing else was seen.
struct IdleWatch: Sendable {
    var seen = NumbersSeen.none
    /// The clock's uptime; nil before the end of the first look that saw these numbers.
    var since: Duration?
}
