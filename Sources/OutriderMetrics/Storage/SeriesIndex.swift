// SPDX-License-Identifier: Apache-2.0
// The series of a family as one who may change them sees them: under the lock of the series table.
//
// The rendered label block (`method="GET",route="/"`) is the key. It is injective, because label
// names are fixed and in one order and values are escaped, so nothing but it needs to be kept.
//
// A removed series leaves a tombstone and its record. Once the dead outnumber the living the
// table is built anew from the living, so memory stays within twice what is in use.

/// The series of a family; its table keeps all but one thread away.
struct SeriesIndex: Sendable {
    /// Above this many dead series a rebuild is worth its while.
    private static let fewDead = 32
    /// Series in a block at most; a slot has 12 bits for the place.
    private static let largestBlock = 1024
    /// Bytes of labels for which a block makes room at most, unless one series alone needs more.
    private static let roomForLabels = 128 << 10

    /// What a series is made from.
    typealias Maker = () -> (instrument: AnyObject, cell: Cell)

    typealias Place = LookupTable.Place

    private let expectsMany: Bool
    private let isWatched: Bool
    private let overflowKey: [UInt8]
    private let key: SeriesKey

    /// Where they are, for readers too.
    private(set) var lookup: LookupTable
    private(set) var blocks: [SeriesBlock] = []
    /// Series that exist, the overflow series included.
    private(set) var living = 0
    /// Bytes of their rendered labels.
    private(set) var labelBytes = 0
    private var occupied = 0  // slots in use, tombstones included
    private var dead = 0
    private var overflowPlace: (block: Int, index: Int)?

    /// - Parameters:
    ///   - expectsMany: False for a family without labels, which has one series for good.
    ///   - isWatched: Whether to make room for what scrapes saw of each series.
    ///   - overflowKey: The rendered labels of the overflow series; empty if there is none.
    ///   - key: How they are hashed.
    init(expectsMany: Bool, isWatched: Bool, overflowKey: [UInt8], key: SeriesKey) {
        self.expectsMany = expectsMany
        self.isWatched = isWatched
        self.overflowKey = overflowKey
        self.key = key
        lookup = LookupTable(slotCount: expectsMany ? 8 : 2, blocks: [])
    }

    func hash(of key: UnsafeBufferPointer<UInt8>) -> UInt64 {
        unsafe self.key.hash(of: key)
    }

    // MARK: - Finding

    func find(_ key: UnsafeBufferPointer<UInt8>, hash: UInt64) -> Place? {
        lookup.find(hash) { block, index in
            unsafe block.labels(at: index).isSame(as: key)
        }
    }

    func instrument(at place: Place) -> AnyObject {
        blocks[place.block].instrument(at: place.index)
    }

    /// The instrument of the overflow series, if there is one.
    var overflow: AnyObject? {
        overflowPlace.map { blocks[$0.block].instrument(at: $0.index) }
    }

    /// Whether one more series would be more than `limit`; the overflow series is none of them.
    func isFull(_ limit: Int) -> Bool {
        living - (overflowPlace == nil ? 0 : 1) >= limit
    }

    /// Whether these are the labels of the overflow series.
    func isOverflow(_ key: UnsafeBufferPointer<UInt8>) -> Bool {
        if overflowKey.count != key.count || key.isEmpty { return false }
        return unsafe overflowKey.withUnsafeBufferPointer { unsafe $0.isSame(as: key) }
    }

    // MARK: - Adding

    /// Adds a series that is not there.
    mutating func append(
        _ instrument: AnyObject, cell: Cell, key: UnsafeBufferPointer<UInt8>, hash: UInt64,
        created: UInt32
    ) {
        if (occupied + 1) * 4 > lookup.slotCount * 3 { grow() }
        var block = blocks.last
        if unsafe block?.append(
            instrument, cell: cell, labels: key, created: created) != true
        {
            let next = unsafe makeBlock(after: block, for: key)
            _ = unsafe next.append(
                instrument, cell: cell, labels: key, created: created)
            blocks.append(next)
            block = next
            if !lookup.add(next) { grow() }
        }
        let index = (block?.count ?? 1) - 1
        lookup.insert(Slot.pack(hash: hash, block: blocks.count - 1, index: index))
        occupied += 1
        if unsafe isOverflow(key) { overflowPlace = (blocks.count - 1, index) }
        living += 1
        labelBytes += key.count
    }

    /// A block twice the size of the last one, with room for labels like `key`.
    private func makeBlock(
        after last: SeriesBlock?, for key: UnsafeBufferPointer<UInt8>
    ) -> SeriesBlock {
        guard expectsMany else {
            return SeriesBlock(capacity: 1, labelsCapacity: key.count, isWatched: isWatched)
        }
        let capacity = min(Self.largestBlock, (last?.capacity ?? 2) * 2)
        let average = last.map { $0.labelBytes / max(1, $0.count) + 8 } ?? 0
        return SeriesBlock(
            capacity: capacity,
            labelsCapacity: max(
                key.count, min(max(average, key.count) * capacity, Self.roomForLabels)),
            isWatched: isWatched)
    }

    /// Takes a table with room for twice the series, and for more blocks.
    private mutating func grow() {
        let wanted = (living + 1) * 2
        var count = 8
        while count < wanted { count *= 2 }
        let larger = LookupTable(slotCount: count, blocks: blocks)
        lookup.copy(into: larger)
        lookup = larger
        occupied = living
    }

    // MARK: - Removing

    /// Removes a series; its record stays until the next rebuild.
    mutating func bury(_ place: Place) {
        blocks[place.block].setMark(of: place.index, to: .removed)
        lookup.clear(at: place.slot)
        if let overflow = overflowPlace, overflow == (place.block, place.index) {
            overflowPlace = nil
        }
        living -= 1
        labelBytes -= unsafe blocks[place.block].labels(at: place.index).count
        dead += 1
    }

    /// Copies the living into new blocks, in the same order, once the dead outnumber them.
    mutating func rebuildIfWorthwhile() {
        guard dead > max(Self.fewDead, living) else { return }
        let old = blocks
        self = SeriesIndex(
            expectsMany: expectsMany, isWatched: isWatched, overflowKey: overflowKey, key: key)
        for block in old {
            for index in 0..<block.count where !block.isRemoved(at: index) {
                let key = unsafe block.labels(at: index)
                unsafe append(
                    block.instrument(at: index), cell: block.cell(at: index), key: key,
                    hash: hash(of: key), created: block.created(at: index))
                guard let last = blocks.last else { continue }
                last.setMark(of: last.count - 1, to: block.mark(of: index))
                if isWatched { last.setWatch(of: last.count - 1, to: block.watch(of: index)) }
            }
        }
    }
}
