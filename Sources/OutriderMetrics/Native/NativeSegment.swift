// SPDX-License-Identifier: Apache-2.0
// A run of native buckets side by side, of one scale.
//
//     cell 0       observations about zero
//     cell 1 …     observations in the buckets `base`, `base` + 1, …
//
// A segment that nobody counts in any more is moved and counted in again, and never freed before its
// histogram: a thread may have loaded its address. Its scale and its size never change, so that such a
// thread stays within the tables of the one and the cells of the other. `NativeHistogram` waits a minute
// before it moves one. A thread that the kernel holds up for longer, between two instructions of one
// observation, counts it in another bucket; the count stays exact.

internal import Synchronization

/// Buckets that somebody counts in; thread-safe.
@safe final class NativeSegment: @unchecked Sendable {
    /// The sizes of segments: powers of two, with the cell of zero.
    static let smallest = 31
    static let largest = 511

    // SAFETY (of `@unchecked`): the cells are atomic, and freed in `deinit` alone. `retired` is only
    // reached under the histogram's lock.
    let scale: NativeScale
    let count: Int
    /// When observations were last counted in another segment instead, by the clock's uptime.
    var retired = Duration.zero
    // ORDERING: relaxed, both; who loads the address of the segment with acquire sees what they were
    // then, and a later move is what the head of this file tells of.
    private let firstIndex: Atomic<Int>
    private let thresholdBits: Atomic<UInt64>
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    private let cells: SeriesCells
    private let arena: CellArena

    init(_ scale: NativeScale, zeroThreshold: Double, base: Int, count: Int, in arena: CellArena) {
        self.scale = scale
        thresholdBits = Atomic(zeroThreshold.bitPattern)
        firstIndex = Atomic(base)
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

    /// The first bucket.
    var base: Int {
        @inline(__always) get { firstIndex.load(ordering: .relaxed) }
        set { firstIndex.store(newValue, ordering: .relaxed) }
    }

    /// How far the bucket of zero reaches.
    var zeroThreshold: Double {
        @inline(__always) get { Double(bitPattern: thresholdBits.load(ordering: .relaxed)) }
        set { thresholdBits.store(newValue.bitPattern, ordering: .relaxed) }
    }

    /// Whether nothing is counted in it, or all was taken away.
    var isEmpty: Bool {
        let numbers = numbers
        for offset in 0...count where numbers.integer(at: offset) != 0 { return false }
        return true
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

    /// What was counted, for those who read and take away.
    var numbers: SeriesNumbers { cells.numbers }
}
