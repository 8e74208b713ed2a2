// SPDX-License-Identifier: Apache-2.0
// Where the series of a family are: a hash table over blocks of them, without a lock around it.
//
// The rendered label block (`method="GET",route="/"`) is the key. It is injective, because label
// names are fixed and in one order and values are escaped, so nothing but it needs to be kept.
//
//     slots   open addressing, linear probing; each: 32 bits of hash | block number | place
//     blocks  SeriesBlock, appended to, never changed in place
//
// A removed series leaves a tombstone and its record. Once the dead outnumber the living the
// table is built anew from the living, so memory stays within twice what is in use.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A slot of the table, packed into 64 bits: hash (32) | block (20) | place in the block (12).
private enum Slot {
    static let empty: UInt64 = 0
    static let tombstone: UInt64 = 1
    private static let indexBits: UInt64 = 12
    private static let blockBits: UInt64 = 20

    static func pack(hash: UInt64, block: Int, index: Int) -> UInt64 {
        // Blocks count from 1 here, so that no packed slot equals `empty` or `tombstone`.
        hash << 32 | UInt64(block + 1) << indexBits | UInt64(index)
    }

    static func hash(in slot: UInt64) -> UInt64 { slot >> 32 }

    static func block(in slot: UInt64) -> Int {
        Int(slot >> indexBits & (1 << blockBits - 1)) - 1
    }

    static func index(in slot: UInt64) -> Int { Int(slot & (1 << indexBits - 1)) }
}

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

    /// Where a series is.
    struct Place {
        let slot: Int
        let block: Int
        let index: Int
    }

    private let expectsMany: Bool
    private let isWatched: Bool
    private let overflowKey: [UInt8]

    private(set) var blocks: [SeriesBlock] = []
    /// Series that exist, the overflow series included.
    private(set) var living = 0
    private var slots: [UInt64]
    private var occupied = 0  // slots in use, tombstones included
    private var dead = 0
    private var overflowPlace: (block: Int, index: Int)?

    /// - Parameters:
    ///   - expectsMany: False for a family without labels, which has one series for good.
    ///   - isWatched: Whether to make room for what scrapes saw of each series.
    ///   - overflowKey: The rendered labels of the overflow series; empty if there is none.
    init(expectsMany: Bool, isWatched: Bool, overflowKey: [UInt8]) {
        self.expectsMany = expectsMany
        self.isWatched = isWatched
        self.overflowKey = overflowKey
        slots = Array(repeating: Slot.empty, count: expectsMany ? 8 : 2)
    }

    static func hash(of key: UnsafeBufferPointer<UInt8>) -> UInt64 {
        unsafe LabelHash.of(key) >> 32
    }

    // MARK: - Finding

    func find(_ key: UnsafeBufferPointer<UInt8>, hash: UInt64) -> Place? {
        let mask = slots.count - 1
        var position = Int(hash) & mask
        while true {
            let slot = slots[position]
            if slot == Slot.empty { return nil }
            if slot != Slot.tombstone, Slot.hash(in: slot) == hash {
                let place = Place(
                    slot: position, block: Slot.block(in: slot), index: Slot.index(in: slot))
                let stored = unsafe blocks[place.block].labels(at: place.index)
                if unsafe stored.isSame(as: key) { return place }
            }
            position = (position + 1) & mask
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
        if (occupied + 1) * 4 > slots.count * 3 { growSlots() }
        var block = blocks.last
        if unsafe block?.append(
            instrument, cell: cell, labels: key, created: created) != true
        {
            let next = unsafe makeBlock(after: block, for: key)
            _ = unsafe next.append(
                instrument, cell: cell, labels: key, created: created)
            blocks.append(next)
            block = next
        }
        let index = (block?.count ?? 1) - 1
        insert(Slot.pack(hash: hash, block: blocks.count - 1, index: index))
        if unsafe isOverflow(key) { overflowPlace = (blocks.count - 1, index) }
        living += 1
    }

    private mutating func insert(_ packed: UInt64) {
        let mask = slots.count - 1
        var position = Int(Slot.hash(in: packed)) & mask
        while slots[position] != Slot.empty {
            position = (position + 1) & mask
        }
        slots[position] = packed
        occupied += 1
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

    private mutating func growSlots() {
        let old = slots
        let wanted = (living + 1) * 2
        var count = 8
        while count < wanted { count *= 2 }
        slots = Array(repeating: Slot.empty, count: count)
        occupied = 0
        for slot in old where slot != Slot.empty && slot != Slot.tombstone {
            insert(slot)
        }
    }

    // MARK: - Removing

    /// Removes a series; its record stays until the next rebuild.
    mutating func bury(_ place: Place) {
        blocks[place.block].setMark(of: place.index, to: .removed)
        slots[place.slot] = Slot.tombstone
        if let overflow = overflowPlace, overflow == (place.block, place.index) {
            overflowPlace = nil
        }
        living -= 1
        dead += 1
    }

    /// Copies the living into new blocks, in the same order, once the dead outnumber them.
    mutating func rebuildIfWorthwhile() {
        guard dead > max(Self.fewDead, living) else { return }
        let old = blocks
        self = SeriesIndex(
            expectsMany: expectsMany, isWatched: isWatched, overflowKey: overflowKey)
        for block in old {
            for index in 0..<block.count where !block.isRemoved(at: index) {
                let key = unsafe block.labels(at: index)
                unsafe append(
                    block.instrument(at: index), cell: block.cell(at: index), key: key,
                    hash: Self.hash(of: key), created: block.created(at: index))
                guard let last = blocks.last else { continue }
                last.setMark(of: last.count - 1, to: block.mark(of: index))
                if isWatched { last.setWatch(of: last.count - 1, to: block.watch(of: index)) }
            }
        }
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// Whether both hold the same bytes.
    func isSame(as other: UnsafeBufferPointer<UInt8>) -> Bool {
        guard count == other.count else { return false }
        guard let first = baseAddress, let second = other.baseAddress else {
            return true
        }
        return unsafe memcmp(first, second, count) == 0
    }
}
