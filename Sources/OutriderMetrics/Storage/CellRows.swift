// SPDX-License-Identifier: Apache-2.0
// Per-CPU rows: a copy of the cells of a frequently updated series for each CPU.
//
// Most series have only their cells (CellArena). Rows for all series would multiply their memory:
// on 64 CPUs, a counter would take 1 KiB instead of 16 bytes. So a series gets rows only once it is
// updated often enough (SeriesCells), and the total size of all rows is limited.
//
//     group       (2 + CPUs) pages, one for each row; the row of an idle CPU takes no memory
//     in a page   512 words: the cells of 256 counters, or of 32 histograms of 12 buckets
//
// At most 64 groups: 64 × 66 pages of 4 KiB, 17 MB, on a machine of 64 CPUs that all count
// everything.
//
// Resetting a series detaches it from its rows. A thread may be about to add to them, so they stay
// reserved for that series, which can get them back after a minute at the earliest. If the kernel
// suspends a thread for longer than that, between two instructions of one addition, the addition
// counts after the reset instead of before.

internal import COutriderCells
internal import OutriderThreading
internal import Synchronization

/// Allocates per-CPU rows; thread-safe.
package final class CellRows: Sendable {
    /// The rows of the process; nil if per-CPU addition is unavailable.
    static let shared: CellRows? = {
        let cpus = outrider_rows_cpus()
        return cpus == 0 ? nil : CellRows(cpus: cpus)
    }()

    private static let wordsInRow = (1 << OUTRIDER_ROW_SHIFT) / 8

    /// The number of CPUs that have a row.
    package let cpus: UInt32
    private let groupLimit: Int
    private let state = Guarded(State())
    /// How many series are detached from their rows; checked without the lock.
    private let detachedCount = Atomic<Int>(0)
    /// How long detached rows stay reserved, in milliseconds: much longer than a thread takes for
    /// an addition.
    private static let quarantine: UInt64 = 60_000

    @safe private struct State: @unchecked Sendable {
        // SAFETY: only accessed under the lock.
        var groups: [UnsafeMutableRawPointer] = unsafe []
        /// How many words of the last group are allocated.
        var used = CellRows.wordsInRow
        /// The row pointers of detached series and the times of detachment, by the address of their
        /// first cells.
        var detached: [UInt64: (pointer: UInt64, milliseconds: UInt64)] = [:]
        /// Freed row pointers, by the power of two of their size in words.
        var free: [[UInt64]] = Array(repeating: [], count: CellRows.wordsInRow.bitWidth)
    }

    /// Creates rows for this many CPUs, for tests too; it uses no others, whatever the machine has.
    package init(cpus: UInt32, groupLimit: Int = 64) {
        self.cpus = cpus
        self.groupLimit = groupLimit
    }

    deinit {
        // Every owner of a row pointer keeps this object alive.
        let groups = unsafe state.withLock { unsafe $0.groups }
        for index in unsafe groups.indices { unsafe outrider_rows_unmap(groups[index], cpus) }
    }

    /// The number of mapped pages; only some of them have memory.
    package var mappedPages: Int {
        state.withLock { unsafe $0.groups.count } * (Int(cpus) + Int(OUTRIDER_FIRST_ROWS))
    }

    /// The number of pages that have memory; nil if the kernel does not report it.
    package var residentPages: Int? {
        state.withLock { state in
            let counts = unsafe state.groups.map { unsafe Int(outrider_rows_resident($0, cpus)) }
            return counts.allSatisfy { $0 >= 0 } ? counts.reduce(0, +) : nil
        }
    }

    /// Allocates rows for the cells of a series, all zero; nil if the limit is reached, or if the
    /// series was detached from its rows too recently.
    func take(_ words: Int, for cell: Cell, at milliseconds: UInt64) -> UInt64? {
        guard words <= Self.wordsInRow else { return nil }
        if let detached = detached(by: cell) {
            guard milliseconds >= detached.milliseconds &+ Self.quarantine, forget(cell) else {
                return nil
            }
            Self.clear(detached.pointer, words, exceptRow: 1)
            return detached.pointer
        }
        let power = Self.power(of: words)
        let pointer: UInt64? = state.withLock { state in
            if let pointer = state.free[power].popLast() { return pointer }
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
            return UInt64(cpus) << OUTRIDER_POINTER_BITS | address | 1
        }
        guard let pointer else { return nil }
        Self.word(of: pointer, row: 1).add(cell.address)
        return pointer
    }

    /// Frees the rows of a series that no thread adds to any more.
    func release(_ pointer: UInt64, _ words: Int) {
        Self.clear(pointer, words)
        state.withLock { $0.free[Self.power(of: words)].append(pointer) }
    }

    private static func clear(_ pointer: UInt64, _ words: Int, exceptRow kept: Int? = nil) {
        for row in 0..<rowCount(of: pointer) where row != kept {
            for offset in 0..<words {
                let word = word(of: pointer, row: row).advanced(by: offset)
                // Writing zero to a page without memory would allocate it.
                if word.integer != 0 { word.set(0) }
            }
        }
    }

    // MARK: - Resets

    /// Detaches a series from its rows: it counts in its cells from now on.
    func detach(_ pointer: UInt64, of cell: Cell, at milliseconds: UInt64) {
        state.withLock { state in
            let old = state.detached.updateValue((pointer, milliseconds), forKey: cell.address)
            if old == nil { detachedCount.wrappingAdd(1, ordering: .relaxed) }
        }
    }

    /// Frees the rows that a series was detached from; no thread adds to the series any more.
    func freeDetached(of cell: Cell, _ words: Int) {
        if let detached = detached(by: cell), forget(cell) { release(detached.pointer, words) }
    }

    private func detached(by cell: Cell) -> (pointer: UInt64, milliseconds: UInt64)? {
        // ORDERING: relaxed; the series was detached by this thread, or by one whose work on the
        // series this thread has seen.
        if detachedCount.load(ordering: .relaxed) == 0 { return nil }
        return state.withLock { $0.detached[cell.address] }
    }

    /// Forgets that a series is detached from rows; returns whether it was.
    private func forget(_ cell: Cell) -> Bool {
        state.withLock { state in
            guard state.detached.removeValue(forKey: cell.address) != nil else { return false }
            detachedCount.wrappingSubtract(1, ordering: .relaxed)
            return true
        }
    }

    private static func power(of words: Int) -> Int {
        Int.bitWidth - (words - 1).leadingZeroBitCount
    }

    // MARK: - Access by row pointer

    /// Whether the bits are a row pointer, rather than the address of cells.
    @inline(__always)
    static func isRowPointer(_ bits: UInt64) -> Bool { bits & 1 != 0 }

    /// The first cell of the series that a row pointer belongs to.
    static func cell(at pointer: UInt64) -> Cell {
        // SAFETY: `take` stored its address there.
        unsafe Cell(address: word(of: pointer, row: 1).integer)
    }

    /// The number of rows: the shared row, the row of the owner's address, and one for each CPU.
    @inline(__always)
    static func rowCount(of pointer: UInt64) -> Int {
        Int(outrider_rows_limit(pointer)) + Int(OUTRIDER_FIRST_ROWS)
    }

    /// The first word of a series in a row.
    @inline(__always)
    static func word(of pointer: UInt64, row: Int) -> Cell {
        // SAFETY: the rows are mapped for as long as a series owns the row pointer.
        unsafe Cell(
            address: UInt64(UInt(bitPattern: outrider_rows_shared(pointer)))
                + UInt64(row) << OUTRIDER_ROW_SHIFT)
    }

    /// The sum of the integers at an offset in all rows.
    @inline(__always)
    static func integer(at offset: Int, of pointer: UInt64) -> UInt64 {
        var sum = word(of: pointer, row: 0).advanced(by: offset).integer
        for row in Int(OUTRIDER_FIRST_ROWS)..<rowCount(of: pointer) {
            sum &+= word(of: pointer, row: row).advanced(by: offset).integer
        }
        return sum
    }

    /// The sum of the fractions at an offset in all rows.
    @inline(__always)
    static func double(at offset: Int, of pointer: UInt64) -> Double {
        var sum = word(of: pointer, row: 0).advanced(by: offset).double
        for row in Int(OUTRIDER_FIRST_ROWS)..<rowCount(of: pointer) {
            sum += word(of: pointer, row: row).advanced(by: offset).double
        }
        return sum
    }
}
