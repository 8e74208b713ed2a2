// SPDX-License-Identifier: Apache-2.0
// A run of native buckets side by side, of one scale.
//
//     cell 0       observations about zero
//     cell 1 …     observations in the buckets `base`, `base` + 1, …
//
// A segment is never freed before its histogram: a thread may have loaded its address. What such a thread
// counts in it, long after a larger one has taken its place, is counted in the same bucket as ever.

internal import Synchronization

/// Buckets that somebody counts in; thread-safe.
@safe final class NativeSegment: @unchecked Sendable {
    /// The sizes of segments: powers of two, with the cell of zero.
    static let smallest = 31
    static let largest = 511

    // SAFETY (of `@unchecked`): the cells are atomic, and freed in `deinit` alone.
    let scale: NativeScale
    let count: Int
    /// The first bucket.
    let base: Int
    // ORDERING: relaxed; who loads the address of the segment with acquire sees what it was then, and
    // what is counted by an older threshold is seen by the newer one in a snapshot.
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
        cells.giveRowsBack(count + 1, to: arena)
        unsafe words.deallocate()
    }

    /// How far the bucket of zero reaches.
    var zeroThreshold: Double {
        @inline(__always) get { Double(bitPattern: thresholdBits.load(ordering: .relaxed)) }
        set { thresholdBits.store(newValue.bitPattern, ordering: .relaxed) }
    }

    /// From the first bucket that has counted something to the last; nil if none has.
    var counted: ClosedRange<Int>? {
        let numbers = numbers
        guard let first = (1...count).first(where: { numbers.integer(at: $0) != 0 }),
            let last = (1...count).last(where: { numbers.integer(at: $0) != 0 })
        else { return nil }
        return base + first - 1...base + last - 1
    }

    /// Counts one observation in a bucket, if the segment has it; false if not.
    @inline(__always)
    func count(_ magnitude: Double) -> Bool {
        var cell = 0
        if magnitude > zeroThreshold {
            let position = scale.index(of: magnitude) &- base
            guard UInt(bitPattern: position) < UInt(bitPattern: count) else { return false }
            cell = position &+ 1
        }
        if cells.add(1, at: cell) { warmUp() }
        return true
    }

    @inline(never)
    private func warmUp() { cells.warmUp(count + 1, in: arena) }

    /// What was counted.
    var numbers: SeriesNumbers { cells.numbers }
}
