// SPDX-License-Identifier: Apache-2.0
// A segment: a run of adjacent native buckets of one scale.
//
//     cell 0       observations in the zero bucket
//     cell 1 …     observations in the buckets `base`, `base` + 1, …
//
// A segment is not freed before its histogram, since a thread may have loaded its address. If such
// a thread counts in it long after a larger segment has replaced it, the count still goes to the
// right bucket.

internal import Synchronization

/// The counts of a run of buckets; thread-safe.
@safe final class NativeSegment: @unchecked Sendable {
    /// The sizes of segments, which are powers of two with the cell of the zero bucket.
    static let smallest = 31
    static let largest = 511

    // SAFETY (of `@unchecked`): the cells are atomic, and freed only in `deinit`.
    let scale: NativeScale
    let count: Int
    /// The index of the first bucket.
    let base: Int
    // ORDERING: relaxed; loading the address of the segment with acquire makes the initial value
    // visible, and a snapshot moves counts made with an older threshold to the zero bucket.
    private let thresholdBits: Atomic<UInt64>
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let cells: SeriesCells
    private let arena: CellArena

    init(_ scale: NativeScale, zeroThreshold: Double, base: Int, count: Int, in arena: CellArena) {
        self.scale = scale
        thresholdBits = Atomic(zeroThreshold.bitPattern)
        self.base = base
        self.count = count
        self.arena = arena
        unsafe words = .allocate(capacity: count + 1)
        for offset in 0...count { unsafe (words + offset).initialize(to: Atomic(0)) }
        cells = SeriesCells(unsafe Cell(word: words))
    }

    deinit {
        cells.releaseRows(count + 1, to: arena)
        unsafe words.deallocate()
    }

    /// The width of the zero bucket.
    var zeroThreshold: Double {
        @inline(__always) get { Double(bitPattern: thresholdBits.load(ordering: .relaxed)) }
        set { thresholdBits.store(newValue.bitPattern, ordering: .relaxed) }
    }

    /// The range from the first to the last bucket with a count; nil if there is none.
    var counted: ClosedRange<Int>? {
        let numbers = numbers
        guard let first = (1...count).first(where: { numbers.integer(at: $0) != 0 }),
            let last = (1...count).last(where: { numbers.integer(at: $0) != 0 })
        else { return nil }
        return base + first - 1...base + last - 1
    }

    /// Counts one observation; false if its bucket is outside the segment.
    @inline(__always)
    func count(_ magnitude: Double) -> Bool {
        var cell = 0
        if magnitude > zeroThreshold {
            let position = scale.index(of: magnitude) &- base
            guard UInt(bitPattern: position) < UInt(bitPattern: count) else { return false }
            cell = position &+ 1
        }
        if cells.add(1, at: cell) { addRowsIfBusy() }
        return true
    }

    @inline(never)
    private func addRowsIfBusy() { cells.addRowsIfBusy(count + 1, in: arena) }

    /// The counts.
    var numbers: SeriesValues { cells.numbers }
}
