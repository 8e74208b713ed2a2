// SPDX-License-Identifier: Apache-2.0
// Where an instrument adds: to the cells of its series, or to the row of its CPU.
//
// An atomic add costs little while one CPU does it, and much when several do it to one word: the
// word's cache line travels between them. A series that is added to all the time is therefore given
// rows, one for each CPU (CellRows), once and for as long as it lives. What was counted before stays
// in its cells, and so does what a thread adds that has not seen the change; a scrape adds both.
//
//     cells ── hot: twice among 16,384 additions, within a second ──▶ cells + rows

public import COutriderCells
internal import OutriderThreading
public import Synchronization

/// The numbers of a counter or histogram, for those who add; thread-safe.
@usableFromInline
struct SeriesCells: ~Copyable, Sendable {
    /// The address of the first cell; or a place among rows, which is odd.
    @usableFromInline let place: Atomic<UInt64>

    init(_ cell: Cell) {
        place = Atomic(cell.address)
    }

    /// Adds to a whole number; wraps at 2^64.
    ///
    /// - Returns: Whether it is time to call ``warmUp(_:in:)``.
    @inlinable
    @inline(__always)
    func add(_ amount: UInt64, at offset: Int = 0) -> Bool {
        // ORDERING: acquire, so that who sees a place sees rows that are zero.
        let place = place.load(ordering: .acquiring) &+ UInt64(truncatingIfNeeded: offset &* 8)
        if place & 1 != 0 {
            if !outrider_rows_add(place, amount) { Self.addShared(amount, at: place) }
            return false
        }
        // SAFETY: the instrument has the cells until it gives them back.
        return Self.isSample(unsafe Cell(address: place).add(amount))
    }

    /// Adds to a fraction.
    ///
    /// - Returns: Whether it is time to call ``warmUp(_:in:)``.
    @inlinable
    @inline(__always)
    func add(fraction amount: Double, at offset: Int) -> Bool {
        // ORDERING: as above.
        let place = place.load(ordering: .acquiring) &+ UInt64(truncatingIfNeeded: offset &* 8)
        if place & 1 != 0 {
            if !outrider_rows_add_double(place, amount) { Self.addShared(amount, at: place) }
            return false
        }
        // SAFETY: as above.
        return Self.isSample(unsafe Cell(address: place).add(amount))
    }

    /// One of 16,384 numbers, whatever their pattern.
    @inlinable
    @inline(__always)
    static func isSample(_ bits: UInt64) -> Bool {
        ((bits &+ 1) &* 0x9E37_79B9_7F4A_7C15) >> 50 == 0
    }

    @usableFromInline
    static func addShared(_ amount: UInt64, at place: UInt64) {
        CellRows.word(of: place, row: 0).add(amount)
    }

    @usableFromInline
    static func addShared(_ amount: Double, at place: UInt64) {
        CellRows.word(of: place, row: 0).add(amount)
    }

    /// Gives the series rows if it is hot.
    func warmUp(_ count: Int, in arena: CellArena) {
        let bits = place.load(ordering: .acquiring)
        guard !CellRows.isPlace(bits), let rows = arena.surroundings.rows,
            Heat.isHot(bits, at: arena.surroundings.coarseMilliseconds)
        else { return }
        let cell = unsafe Cell(address: bits)
        guard
            let new = rows.take(count, for: cell, at: arena.surroundings.coarseMilliseconds)
        else { return }
        arena.noteRows()
        // ORDERING: release, so that who sees the place sees rows that are zero.
        let isOurs = place.compareExchange(
            expected: bits, desired: new, ordering: .acquiringAndReleasing
        ).exchanged
        if !isOurs { rows.giveBack(new, count) }
    }

    /// Makes all numbers zero; an addition at this moment may be lost or stay.
    ///
    /// Rows belong to their CPUs, so nobody else can make them zero. Nor can the cells take away what is in
    /// them: a sum that adds up a large number and its opposite has no digits left for small ones. So the
    /// series leaves its rows, and counts in its cells until it is given rows again.
    func reset(_ count: Int, in arena: CellArena) {
        let bits = place.load(ordering: .acquiring)
        let cell = numbers.cell
        if CellRows.isPlace(bits), let rows = arena.surroundings.rows {
            rows.leave(bits, of: cell, at: arena.surroundings.coarseMilliseconds)
            // ORDERING: release, as for every place. Where it fails, another thread has reset the series.
            _ = place.compareExchange(
                expected: bits, desired: cell.address, ordering: .acquiringAndReleasing)
        }
        for offset in 0..<count { cell.advanced(by: offset).set(0) }
    }

    /// Gives all back; nobody adds any more.
    func giveBack(_ count: Int, to arena: CellArena) {
        let cell = numbers.cell
        giveRowsBack(count, to: arena)
        arena.release(cell)
    }

    /// Gives the rows back; nobody adds any more.
    func giveRowsBack(_ count: Int, to arena: CellArena) {
        let numbers = numbers
        guard let rows = arena.surroundings.rows else { return }
        if numbers.place != 0 { rows.giveBack(numbers.place, count) }
        rows.giveLeftBack(of: numbers.cell, count)
    }

    /// The numbers, for those who read.
    var numbers: SeriesNumbers {
        let bits = place.load(ordering: .acquiring)
        guard CellRows.isPlace(bits) else {
            return SeriesNumbers(cell: unsafe Cell(address: bits))
        }
        return SeriesNumbers(cell: CellRows.cell(at: bits), place: bits)
    }
}

/// When series were seen last of which one addition of 16,384 is seen.
private enum Heat {
    private static let size = 256
    /// Twice within so many milliseconds is hot.
    private static let interval: UInt64 = 1_000

    private final class Entry: Sendable {
        let address = Atomic<UInt64>(0)
        let seen = Atomic<UInt64>(0)
    }

    private static let entries = (0..<size).map { _ in Entry() }

    /// Whether the series with its cells there was seen a moment ago; it is seen now.
    ///
    /// Series share entries: one may push another out, which then is hot a little later.
    static func isHot(_ address: UInt64, at milliseconds: UInt64) -> Bool {
        let number = Int((address &* 0x9E37_79B9_7F4A_7C15) >> 56)
        let entry = entries[number]
        // ORDERING: relaxed; a wrong guess gives rows a little earlier or later.
        let last = entry.seen.exchange(milliseconds, ordering: .relaxed)
        let isSame = entry.address.exchange(address, ordering: .relaxed) == address
        return isSame && milliseconds &- last < interval
    }
}
