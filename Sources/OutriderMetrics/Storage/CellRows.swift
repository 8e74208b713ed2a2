// SPDX-License-Identifier: Apache-2.0
// Room for the copies of cells that each CPU has: for series that are counted all the time.
//
// Most series are not, and have their cells alone (CellArena). Memory for all CPUs would multiply
// with them: on 64 of them, a counter would have 1 KiB instead of 16 bytes. So a series is given
// rows when it has shown that it needs them (SeriesCells), and there is a limit to all rows together.
//
//     group       (2 + CPUs) pages, one for each row; a CPU that never counts takes no memory
//     in a page   512 words: the cells of 256 counters, or of 32 histograms of 12 buckets
//
// At most 64 groups: 64 × 66 pages of 4 KiB, 17 MB, on a machine of 64 CPUs that all count everything.
//
// A series that is reset leaves its rows. A thread may be about to add to them, so they stay the series'
// own: it alone is given them again, and not before a minute. A thread that the kernel holds up for longer
// than that, between two instructions of one addition, counts it after the reset instead of before.

internal import COutriderCells
internal import OutriderThreading
internal import Synchronization

/// Rows of cells; thread-safe.
package final class CellRows: Sendable {
    /// Those of the process; nil where a CPU cannot add to its own.
    static let shared: CellRows? = {
        let cpus = outrider_rows_cpus()
        return cpus == 0 ? nil : CellRows(cpus: cpus)
    }()

    private static let wordsInRow = (1 << OUTRIDER_ROW_SHIFT) / 8

    /// CPUs that have a row.
    package let cpus: UInt32
    private let groupLimit: Int
    private let state = Guarded(State())
    /// How many rows series have left; so that a look without the lock tells that there are none.
    private let leftCount = Atomic<Int>(0)
    /// How long they rest, in milliseconds: much longer than any thread is held up in an addition.
    private static let rest: UInt64 = 60_000

    @safe private struct State: @unchecked Sendable {
        // SAFETY: only reached under the lock.
        var groups: [UnsafeMutableRawPointer] = unsafe []
        /// Words of the last group that were given out.
        var used = CellRows.wordsInRow
        /// Places that series have left, by the address of their first cells, and when.
        var left: [UInt64: (place: UInt64, milliseconds: UInt64)] = [:]
        /// Places that were given back, by the power of two that their words are.
        var free: [[UInt64]] = Array(repeating: [], count: CellRows.wordsInRow.bitWidth)
    }

    /// Rows for so many CPUs, for tests too: no more than these are used, whatever the machine has.
    package init(cpus: UInt32, groupLimit: Int = 64) {
        self.cpus = cpus
        self.groupLimit = groupLimit
    }

    deinit {
        // Whoever has a place keeps this.
        let groups = unsafe state.withLock { unsafe $0.groups }
        for index in unsafe groups.indices { unsafe outrider_rows_unmap(groups[index], cpus) }
    }

    /// Pages that are mapped: some of them have memory.
    package var mappedPages: Int {
        state.withLock { unsafe $0.groups.count } * (Int(cpus) + Int(OUTRIDER_FIRST_ROWS))
    }

    /// Pages that have memory; nil if the kernel does not tell.
    package var residentPages: Int? {
        state.withLock { state in
            let counts = unsafe state.groups.map { unsafe Int(outrider_rows_resident($0, cpus)) }
            return counts.allSatisfy { $0 >= 0 } ? counts.reduce(0, +) : nil
        }
    }

    /// Rows for the cells of a series, all zero; nil if there are as many as there may be, or if the
    /// series has left its rows a moment ago.
    func take(_ words: Int, for cell: Cell, at milliseconds: UInt64) -> UInt64? {
        guard words <= Self.wordsInRow else { return nil }
        if let left = left(by: cell) {
            guard milliseconds >= left.milliseconds &+ Self.rest, forget(cell) else { return nil }
            Self.clear(left.place, words, exceptRow: 1)
            return left.place
        }
        let power = Self.power(of: words)
        let place: UInt64? = state.withLock { state in
            if let place = state.free[power].popLast() { return place }
            if state.used + 1 << power > Self.wordsInRow {
                guard unsafe state.groups.count < groupLimit,
                    let group = unsafe outrider_rows_map(cpus)
                else { return nil }
                unsafe state.groups.append(group)
                state.used = 0
            }
            guard let group = unsafe state.groups.last else { return nil }
            let address = UInt64(UInt(bitPattern: group)) + UInt64(state.used) * 8
            state.used += 1 << power
            return UInt64(cpus) << OUTRIDER_PLACE_BITS | address | 1
        }
        guard let place else { return nil }
        Self.word(of: place, row: 1).add(cell.address)
        return place
    }

    /// Takes the rows of a series back, which nobody adds to any more.
    func giveBack(_ place: UInt64, _ words: Int) {
        Self.clear(place, words)
        state.withLock { $0.free[Self.power(of: words)].append(place) }
    }

    private static func clear(_ place: UInt64, _ words: Int, exceptRow kept: Int? = nil) {
        for row in 0..<rowCount(of: place) where row != kept {
            for offset in 0..<words {
                let word = word(of: place, row: row).advanced(by: offset)
                // Not to give memory to a CPU that never had any.
                if word.integer != 0 { word.set(0) }
            }
        }
    }

    // MARK: - Resets

    /// A series counts in its cells from now on, and no more in its rows.
    func leave(_ place: UInt64, of cell: Cell, at milliseconds: UInt64) {
        state.withLock { state in
            let old = state.left.updateValue((place, milliseconds), forKey: cell.address)
            if old == nil { leftCount.wrappingAdd(1, ordering: .relaxed) }
        }
    }

    /// Takes back the rows that a series has left; nobody adds to it any more.
    func giveLeftBack(of cell: Cell, _ words: Int) {
        if let left = left(by: cell), forget(cell) { giveBack(left.place, words) }
    }

    private func left(by cell: Cell) -> (place: UInt64, milliseconds: UInt64)? {
        // ORDERING: relaxed; who has left rows of this series is this thread, or one whose work on the
        // series this thread has seen.
        if leftCount.load(ordering: .relaxed) == 0 { return nil }
        return state.withLock { $0.left[cell.address] }
    }

    /// Forgets that a series has left rows; tells whether it had.
    private func forget(_ cell: Cell) -> Bool {
        state.withLock { state in
            guard state.left.removeValue(forKey: cell.address) != nil else { return false }
            leftCount.wrappingSubtract(1, ordering: .relaxed)
            return true
        }
    }

    private static func power(of words: Int) -> Int {
        Int.bitWidth - (words - 1).leadingZeroBitCount
    }

    // MARK: - What is at a place

    /// Whether a place is one among rows, rather than the address of cells.
    @inline(__always)
    static func isPlace(_ bits: UInt64) -> Bool { bits & 1 != 0 }

    /// The first cell of a series whose rows are at a place.
    static func cell(at place: UInt64) -> Cell {
        // SAFETY: `take` put its address there.
        unsafe Cell(address: word(of: place, row: 1).integer)
    }

    /// Rows of a place: that which all share, the one without numbers, and one for each CPU.
    @inline(__always)
    static func rowCount(of place: UInt64) -> Int {
        Int(outrider_rows_limit(place)) + Int(OUTRIDER_FIRST_ROWS)
    }

    /// The first word of a place in a row.
    @inline(__always)
    static func word(of place: UInt64, row: Int) -> Cell {
        // SAFETY: the rows of a place are mapped for as long as somebody has it.
        unsafe Cell(
            address: UInt64(UInt(bitPattern: outrider_rows_shared(place)))
                + UInt64(row) << OUTRIDER_ROW_SHIFT)
    }

    /// The integers that all rows of a place have at an offset, together.
    @inline(__always)
    static func integer(at offset: Int, of place: UInt64) -> UInt64 {
        var sum = word(of: place, row: 0).advanced(by: offset).integer
        for row in Int(OUTRIDER_FIRST_ROWS)..<rowCount(of: place) {
            sum &+= word(of: place, row: row).advanced(by: offset).integer
        }
        return sum
    }

    /// The fractions that all rows of a place have at an offset, together.
    @inline(__always)
    static func double(at offset: Int, of place: UInt64) -> Double {
        var sum = word(of: place, row: 0).advanced(by: offset).double
        for row in Int(OUTRIDER_FIRST_ROWS)..<rowCount(of: place) {
            sum += word(of: place, row: row).advanced(by: offset).double
        }
        return sum
    }
}
