// SPDX-License-Identifier: Apache-2.0
// The target of an instrument's additions: the cells of its series, or the row of the current CPU.
//
// An atomic add is cheap while only one CPU does it, and expensive when several CPUs add to the
// same word, since its cache line moves between them. So a frequently updated series gets per-CPU
// rows (CellRows), and keeps them until it is reset or freed. Earlier counts stay in its cells, as
// do additions by threads that have not seen the change; a scrape adds both.
//
//     cells ── two sampled additions (1 in 16,384) within a second ──▶ cells + rows

public import COutriderCells
internal import OutriderThreading
public import Synchronization

/// The numbers of a counter or histogram, for writers; thread-safe.
@usableFromInline
struct SeriesCells: ~Copyable, Sendable {
    /// The address of the first cell, or a row pointer, which is odd.
    @usableFromInline let target: Atomic<UInt64>

    init(_ cell: Cell) {
        target = Atomic(cell.address)
    }

    /// Adds to an integer; wraps at 2^64.
    ///
    /// - Returns: Whether to call ``addRowsIfBusy(_:in:)``.
    @inlinable
    @inline(__always)
    func add(_ amount: UInt64, at offset: Int = 0) -> Bool {
        // ORDERING: acquire, so that a thread that sees a row pointer sees rows that are zero.
        let target = target.load(ordering: .acquiring) &+ UInt64(truncatingIfNeeded: offset &* 8)
        if target & 1 != 0 {
            if !outrider_rows_add(target, amount) { Self.addShared(amount, at: target) }
            return false
        }
        // SAFETY: the instrument owns the cells until it releases them.
        return Self.isSample(unsafe Cell(address: target).add(amount))
    }

    /// Adds to a fraction.
    ///
    /// - Returns: Whether to call ``addRowsIfBusy(_:in:)``.
    @inlinable
    @inline(__always)
    func add(fraction amount: Double, at offset: Int) -> Bool {
        // ORDERING: as above.
        let target = target.load(ordering: .acquiring) &+ UInt64(truncatingIfNeeded: offset &* 8)
        if target & 1 != 0 {
            if !outrider_rows_add_double(target, amount) { Self.addShared(amount, at: target) }
            return false
        }
        // SAFETY: as above.
        return Self.isSample(unsafe Cell(address: target).add(amount))
    }

    /// True for one in 16,384 values, whatever their pattern.
    @inlinable
    @inline(__always)
    static func isSample(_ bits: UInt64) -> Bool {
        ((bits &+ 1) &* 0x9E37_79B9_7F4A_7C15) >> 50 == 0
    }

    @usableFromInline
    static func addShared(_ amount: UInt64, at target: UInt64) {
        CellRows.word(of: target, row: 0).add(amount)
    }

    @usableFromInline
    static func addShared(_ amount: Double, at target: UInt64) {
        CellRows.word(of: target, row: 0).add(amount)
    }

    /// Gives the series per-CPU rows if it is updated frequently.
    func addRowsIfBusy(_ count: Int, in arena: CellArena) {
        let bits = target.load(ordering: .acquiring)
        guard !CellRows.isRowPointer(bits), let rows = arena.context.rows,
            UpdateRate.isFrequent(bits, at: arena.context.coarseMilliseconds)
        else { return }
        let cell = unsafe Cell(address: bits)
        guard
            let new = rows.take(count, for: cell, at: arena.context.coarseMilliseconds)
        else { return }
        arena.noteRows()
        // ORDERING: release, so that a thread that sees the row pointer sees rows that are zero.
        let isOurs = target.compareExchange(
            expected: bits, desired: new, ordering: .acquiringAndReleasing
        ).exchanged
        if !isOurs { rows.release(new, count) }
    }

    /// Sets all numbers to zero; a concurrent addition may or may not be lost.
    ///
    /// Rows belong to their CPUs, so no other thread can set them to zero. Nor can the cells hold
    /// the opposite amounts: a sum of a large number and its opposite has no digits left for small
    /// ones. So the series is detached from its rows, and counts in its cells until it gets rows
    /// again.
    func reset(_ count: Int, in arena: CellArena) {
        let bits = target.load(ordering: .acquiring)
        let cell = numbers.cell
        if CellRows.isRowPointer(bits), let rows = arena.context.rows {
            rows.detach(bits, of: cell, at: arena.context.coarseMilliseconds)
            // ORDERING: release, as for every row pointer. If it fails, another thread has reset
            // the series.
            _ = target.compareExchange(
                expected: bits, desired: cell.address, ordering: .acquiringAndReleasing)
        }
        for offset in 0..<count { cell.advanced(by: offset).set(0) }
    }

    /// Releases cells and rows, once no thread adds to them any more.
    func release(_ count: Int, to arena: CellArena) {
        let cell = numbers.cell
        releaseRows(count, to: arena)
        arena.release(cell)
    }

    /// Releases the rows, once no thread adds to them any more.
    func releaseRows(_ count: Int, to arena: CellArena) {
        let numbers = numbers
        guard let rows = arena.context.rows else { return }
        if numbers.rowPointer != 0 { rows.release(numbers.rowPointer, count) }
        rows.freeDetached(of: numbers.cell, count)
    }

    /// The numbers, for readers.
    var numbers: SeriesValues {
        let bits = target.load(ordering: .acquiring)
        guard CellRows.isRowPointer(bits) else {
            return SeriesValues(cell: unsafe Cell(address: bits))
        }
        return SeriesValues(cell: CellRows.cell(at: bits), rowPointer: bits)
    }
}

/// The last times at which one of a series' sampled additions (1 in 16,384) was seen.
private enum UpdateRate {
    private static let size = 256
    /// Two sampled additions within this many milliseconds make a series frequently updated.
    private static let interval: UInt64 = 1_000

    private final class Entry: Sendable {
        let address = Atomic<UInt64>(0)
        let seen = Atomic<UInt64>(0)
    }

    private static let entries = (0..<size).map { _ in Entry() }

    /// Whether the series with cells at this address was sampled within the interval; also records
    /// this sample.
    ///
    /// Series share entries: if one replaces another, the other gets its rows a little later.
    static func isFrequent(_ address: UInt64, at milliseconds: UInt64) -> Bool {
        let index = Int((address &* 0x9E37_79B9_7F4A_7C15) >> 56)
        let entry = entries[index]
        // ORDERING: relaxed; a wrong result gives rows a little earlier or later.
        let last = entry.seen.exchange(milliseconds, ordering: .relaxed)
        let isSame = entry.address.exchange(address, ordering: .relaxed) == address
        return isSame && milliseconds &- last < interval
    }
}
