// SPDX-License-Identifier: Apache-2.0
// A cell: one number that many threads add to and a scrape reads.
//
// Instruments only add to, set and read a cell. Only this file and CellArena know where its bits
// are stored.

public import Synchronization

/// A 64-bit number in a ``CellArena``, an unsigned integer or the bits of a `Double`.
///
/// A cell is an address, so copying it is free.
// SAFETY: marked safe since only instruments and scrapes hold cells, and both keep the arena that
// the address points into alive while they hold one. Sendable, since the word is only accessed by
// atomic operations.
@usableFromInline
@safe struct Cell: @unchecked Sendable {
    @usableFromInline let word: UnsafeMutablePointer<Atomic<UInt64>>

    @inlinable
    init(word: UnsafeMutablePointer<Atomic<UInt64>>) {
        unsafe self.word = word
    }

    /// The cell at an address, which must point into memory that the caller owns.
    @inlinable
    @unsafe init(address: UInt64) {
        unsafe word = UnsafeMutablePointer(bitPattern: UInt(address)).unsafelyUnwrapped
    }

    /// The address of the cell.
    var address: UInt64 { unsafe UInt64(UInt(bitPattern: word)) }

    /// The cell `distance` words further on in the same series.
    @inlinable
    func advanced(by distance: Int) -> Cell {
        // SAFETY: a series' cells are contiguous, and callers stay within its count.
        unsafe Cell(word: word + distance)
    }

    // ORDERING: relaxed, here and below. A number does not publish other memory, and a scrape does
    // not promise an order between two numbers.

    /// Adds to an integer cell; wraps at 2^64.
    ///
    /// - Returns: The previous value.
    @inlinable
    @discardableResult
    func add(_ amount: UInt64) -> UInt64 {
        unsafe word.pointee.wrappingAdd(amount, ordering: .relaxed).oldValue
    }

    /// Adds to a floating-point cell; lock-free, retries if another thread changed the value.
    ///
    /// - Returns: The previous bits.
    @inlinable
    @discardableResult
    func add(_ amount: Double) -> UInt64 {
        var old = unsafe word.pointee.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, seen) = unsafe word.pointee.weakCompareExchange(
                expected: old, desired: new, ordering: .relaxed)
            if exchanged { return old }
            old = seen
        }
    }

    /// Overwrites a floating-point cell.
    @inlinable
    func set(_ value: Double) {
        unsafe word.pointee.store(value.bitPattern, ordering: .relaxed)
    }

    /// The number as an integer.
    @inlinable
    var integer: UInt64 {
        unsafe word.pointee.load(ordering: .relaxed)
    }

    /// The number as a floating-point value.
    @inlinable
    var double: Double {
        Double(bitPattern: integer)
    }
}
