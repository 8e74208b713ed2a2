// SPDX-License-Identifier: Apache-2.0
// The mutable state of a series table, accessed under the table's lock.
//
// The rendered label block (`method="GET",route="/"`) is the key. It is unique, because label names
// are fixed and in one order and values are escaped, so no other key is stored.
//
// Removing a series leaves a tombstone and its record. Once removed series outnumber the remaining
// ones, the table is rebuilt from the latter, so memory stays within twice what is in use.

/// The series of a family; the table serializes access.
struct SeriesWriter: Sendable {
    /// Up to this many removed series, a rebuild is not worthwhile.
    private static let rebuildThreshold = 32
    /// The maximum number of series in a block; a slot has 12 bits for the index.
    private static let largestBlock = 1024
    /// The maximum number of bytes that a block allocates for labels, unless one series needs more.
    private static let roomForLabels = 128 << 10

    /// Creates the instrument of a new series.
    typealias Maker = () -> (instrument: AnyObject, cell: Cell)

    typealias Location = SeriesLookup.Location

    private let expectsMany: Bool
    private let isWatched: Bool
    private let overflowKey: [UInt8]
    private let key: SeriesKey

    /// The lookup table, which readers use too.
    private(set) var lookup: SeriesLookup
    private(set) var blocks: [SeriesBlock] = []
    /// The number of current series, including the overflow series.
    private(set) var liveCount = 0
    /// The number of bytes of their rendered labels.
    private(set) var labelBytes = 0
    private var occupied = 0  // slots in use, tombstones included
    private var removedCount = 0
    private var overflowLocation: (block: Int, index: Int)?

    /// - Parameters:
    ///   - expectsMany: False for a family without labels, which only ever has one series.
    ///   - isWatched: Whether to allocate memory for the observations of scrapes.
    ///   - overflowKey: The rendered labels of the overflow series; empty if there is none.
    ///   - key: Hashes the series.
    init(expectsMany: Bool, isWatched: Bool, overflowKey: [UInt8], key: SeriesKey) {
        self.expectsMany = expectsMany
        self.isWatched = isWatched
        self.overflowKey = overflowKey
        self.key = key
        lookup = SeriesLookup(slotCount: expectsMany ? 8 : 2, blocks: [])
    }

    func hash(of key: UnsafeBufferPointer<UInt8>) -> UInt64 {
        unsafe self.key.hash(of: key)
    }

    // MARK: - Lookup

    func find(_ key: UnsafeBufferPointer<UInt8>, hash: UInt64) -> Location? {
        lookup.find(hash) { block, index in
            unsafe block.labels(at: index).isSame(as: key)
        }
    }

    func instrument(at location: Location) -> AnyObject {
        blocks[location.block].instrument(at: location.index)
    }

    /// The instrument of the overflow series; nil if it does not exist yet.
    var overflow: AnyObject? {
        overflowLocation.map { blocks[$0.block].instrument(at: $0.index) }
    }

    /// Whether one more series would exceed `limit`; the overflow series does not count.
    func isFull(_ limit: Int) -> Bool {
        liveCount - (overflowLocation == nil ? 0 : 1) >= limit
    }

    /// Whether these are the labels of the overflow series.
    func isOverflow(_ key: UnsafeBufferPointer<UInt8>) -> Bool {
        if overflowKey.count != key.count || key.isEmpty { return false }
        return unsafe overflowKey.withUnsafeBufferPointer { unsafe $0.isSame(as: key) }
    }

    // MARK: - Adding

    /// Adds a series that does not exist yet.
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
        if unsafe isOverflow(key) { overflowLocation = (blocks.count - 1, index) }
        liveCount += 1
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

    /// Replaces the lookup table with one for twice the series and more blocks.
    private mutating func grow() {
        let wanted = (liveCount + 1) * 2
        var count = 8
        while count < wanted { count *= 2 }
        let larger = SeriesLookup(slotCount: count, blocks: blocks)
        lookup.copy(into: larger)
        lookup = larger
        occupied = liveCount
    }

    // MARK: - Removing

    /// Removes a series; its record stays until the next rebuild.
    mutating func remove(_ location: Location) {
        blocks[location.block].setMark(of: location.index, to: .removed)
        lookup.clear(at: location.slot)
        if let overflow = overflowLocation, overflow == (location.block, location.index) {
            overflowLocation = nil
        }
        liveCount -= 1
        labelBytes -= unsafe blocks[location.block].labels(at: location.index).count
        removedCount += 1
    }

    /// Copies the remaining series into new blocks, in the same order, once removed ones outnumber
    /// them.
    mutating func rebuildIfWorthwhile() {
        guard removedCount > max(Self.rebuildThreshold, liveCount) else { return }
        let old = blocks
        self = SeriesWriter(
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
