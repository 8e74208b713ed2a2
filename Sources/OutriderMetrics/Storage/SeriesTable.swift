// SPDX-License-Identifier: Apache-2.0
// The series of one family: found by their rendered labels, listed in the order they were made.
//
// The rendered label block (`method="GET",route="/"`) is the key. It is injective, because label
// names are fixed and in one order and values are escaped, so nothing but it needs to be kept.
//
//     slots   open addressing, linear probing; each: 32 bits of hash | block number | place
//     blocks  SeriesBlock, appended to, never changed in place
//
// A removed series leaves a tombstone and its record. Once the dead outnumber the living the
// table is built anew from the living, so memory stays within twice what is in use.

internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The series of a family; thread-safe.
final class SeriesTable: Sendable {
    /// Above this many dead series a rebuild is worth its while.
    private static let fewDead = 32
    /// Series in a block at most; a slot has 12 bits for the place.
    private static let largestBlock = 1024
    /// Bytes of labels for which a block makes room at most, unless one series alone needs more.
    private static let roomForLabels = 128 << 10

    /// Steps of a second in which a series remembers when it was made: 32 bits last for 8 years.
    private static let stepsPerSecond = 16.0

    private let expectsMany: Bool
    private let clock: any MetricClock
    /// When the table was made, in seconds since the epoch.
    private let epoch: Double
    private let state: Guarded<State>

    /// `expectsMany` is false for a family without labels, which has one series for good.
    init(expectsMany: Bool, clock: any MetricClock) {
        self.expectsMany = expectsMany
        self.clock = clock
        epoch = clock.secondsSinceEpoch
        state = Guarded(State(slots: Array(repeating: Slot.empty, count: expectsMany ? 8 : 2)))
    }

    private struct State: Sendable {
        var blocks: [SeriesBlock] = []
        var slots: [UInt64]
        var occupied = 0  // slots in use, tombstones included
        var living = 0
        var dead = 0
    }

    /// The series as they are now, for a scrape to read at leisure.
    ///
    /// The counts are taken together: a series that is removed and made again while the scrape
    /// reads stands in a place that this scrape does not come to, so it is never printed twice.
    var runs: [SeriesRun] {
        state.withLock { state in state.blocks.map { SeriesRun(block: $0, count: $0.count) } }
    }

    /// Series that exist now.
    var count: Int {
        state.withLock { $0.living }
    }

    /// When a series was made, in seconds since the epoch, to a sixteenth.
    func secondsAtCreation(of index: Int, in run: SeriesRun) -> Double {
        epoch + Double(run.block.created(at: index)) / Self.stepsPerSecond
    }

    /// The steps that have passed since the table was made; a clock that was set back gives none.
    private var now: UInt32 {
        let steps = (clock.secondsSinceEpoch - epoch) * Self.stepsPerSecond
        return UInt32(min(max(0, steps), Double(UInt32.max)))
    }

    /// The instrument with these rendered labels, made by `make` if there is none yet.
    ///
    /// `make` runs under the table's lock, once for each series.
    func findOrMake(
        _ key: UnsafeBufferPointer<UInt8>, make: () -> (instrument: AnyObject, cell: Cell)
    ) -> AnyObject {
        let hash = unsafe Slot.hash(of: key)
        return state.withLock { state in
            if let place = unsafe Self.find(key, hash: hash, in: state) {
                return state.blocks[place.block].instrument(at: place.index)
            }
            let (instrument, cell) = make()
            unsafe append(
                instrument, cell: cell, key: key, hash: hash, created: now, to: &state)
            return instrument
        }
    }

    /// Makes the series with these rendered labels the only one.
    func keepOnly(
        _ key: UnsafeBufferPointer<UInt8>, make: () -> (instrument: AnyObject, cell: Cell)
    ) {
        let hash = unsafe Slot.hash(of: key)
        state.withLock { state in
            let kept = unsafe Self.find(key, hash: hash, in: state)
            for (number, block) in state.blocks.enumerated() {
                for index in 0..<block.count where !block.isRemoved(at: index) {
                    if number == kept?.block && index == kept?.index { continue }
                    let other = unsafe block.labels(at: index)
                    if let place = unsafe Self.find(other, hash: Slot.hash(of: other), in: state) {
                        bury(place, in: &state)
                    }
                }
            }
            rebuildIfWorthwhile(&state)
            if kept != nil { return }
            let (instrument, cell) = make()
            unsafe append(
                instrument, cell: cell, key: key, hash: hash, created: now, to: &state)
        }
    }

    /// Removes the series with these rendered labels; tells whether there was one.
    func remove(_ key: UnsafeBufferPointer<UInt8>) -> Bool {
        let hash = unsafe Slot.hash(of: key)
        return state.withLock { state in
            guard let place = unsafe Self.find(key, hash: hash, in: state) else { return false }
            bury(place, in: &state)
            rebuildIfWorthwhile(&state)
            return true
        }
    }

    /// Removes every series whose rendered labels satisfy `matches`; returns how many those were.
    ///
    /// - Complexity: one look at each series of the family, under the lock.
    func removeAll(where matches: (UnsafeBufferPointer<UInt8>) -> Bool) -> Int {
        state.withLock { state in
            var count = 0
            for block in state.blocks {
                for index in 0..<block.count where !block.isRemoved(at: index) {
                    let key = unsafe block.labels(at: index)
                    guard unsafe matches(key),
                        let place = unsafe Self.find(key, hash: Slot.hash(of: key), in: state)
                    else { continue }
                    bury(place, in: &state)
                    count += 1
                }
            }
            rebuildIfWorthwhile(&state)
            return count
        }
    }
}

// MARK: - Slots

/// A slot of the table, packed into 64 bits: hash (32) | block (20) | place in the block (12).
private enum Slot {
    static let empty: UInt64 = 0
    static let tombstone: UInt64 = 1
    private static let indexBits: UInt64 = 12
    private static let blockBits: UInt64 = 20

    static func hash(of key: UnsafeBufferPointer<UInt8>) -> UInt64 {
        unsafe LabelHash.of(key) >> 32
    }

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

private struct Place {
    let slot: Int
    let block: Int
    let index: Int
}

extension SeriesTable {
    private static func find(
        _ key: UnsafeBufferPointer<UInt8>, hash: UInt64, in state: State
    ) -> Place? {
        let mask = state.slots.count - 1
        var position = Int(hash) & mask
        while true {
            let slot = state.slots[position]
            if slot == Slot.empty { return nil }
            if slot != Slot.tombstone, Slot.hash(in: slot) == hash {
                let place = Place(
                    slot: position, block: Slot.block(in: slot), index: Slot.index(in: slot))
                let stored = unsafe state.blocks[place.block].labels(at: place.index)
                if unsafe stored.isSame(as: key) { return place }
            }
            position = (position + 1) & mask
        }
    }

    private static func insert(_ packed: UInt64, in state: inout State) {
        let mask = state.slots.count - 1
        var position = Int(Slot.hash(in: packed)) & mask
        while state.slots[position] != Slot.empty {
            position = (position + 1) & mask
        }
        state.slots[position] = packed
        state.occupied += 1
    }

    private func append(
        _ instrument: AnyObject, cell: Cell, key: UnsafeBufferPointer<UInt8>, hash: UInt64,
        created: UInt32, to state: inout State
    ) {
        if (state.occupied + 1) * 4 > state.slots.count * 3 { growSlots(&state) }
        var block = state.blocks.last
        if unsafe block?.append(
            instrument, cell: cell, labels: key, created: created) != true
        {
            let next = unsafe makeBlock(after: block, for: key)
            _ = unsafe next.append(
                instrument, cell: cell, labels: key, created: created)
            state.blocks.append(next)
            block = next
        }
        let index = (block?.count ?? 1) - 1
        Self.insert(
            Slot.pack(hash: hash, block: state.blocks.count - 1, index: index), in: &state)
        state.living += 1
    }

    /// A block twice the size of the last one, with room for labels like `key`.
    private func makeBlock(
        after last: SeriesBlock?, for key: UnsafeBufferPointer<UInt8>
    ) -> SeriesBlock {
        guard expectsMany else { return SeriesBlock(capacity: 1, labelsCapacity: key.count) }
        let capacity = min(Self.largestBlock, (last?.capacity ?? 2) * 2)
        let average = last.map { $0.labelBytes / max(1, $0.count) + 8 } ?? 0
        return SeriesBlock(
            capacity: capacity,
            labelsCapacity: max(
                key.count, min(max(average, key.count) * capacity, Self.roomForLabels)))
    }

    private func growSlots(_ state: inout State) {
        let old = state.slots
        let wanted = (state.living + 1) * 2
        var count = 8
        while count < wanted { count *= 2 }
        state.slots = Array(repeating: Slot.empty, count: count)
        state.occupied = 0
        for slot in old where slot != Slot.empty && slot != Slot.tombstone {
            Self.insert(slot, in: &state)
        }
    }

    private func bury(_ place: Place, in state: inout State) {
        state.blocks[place.block].markRemoved(at: place.index)
        state.slots[place.slot] = Slot.tombstone
        state.living -= 1
        state.dead += 1
    }

    /// Copies the living into new blocks, in the same order, once the dead outnumber them.
    private func rebuildIfWorthwhile(_ state: inout State) {
        guard state.dead > max(Self.fewDead, state.living) else { return }
        let old = state.blocks
        state = State(slots: Array(repeating: Slot.empty, count: 8))
        for block in old {
            for index in 0..<block.count where !block.isRemoved(at: index) {
                let key = unsafe block.labels(at: index)
                unsafe append(
                    block.instrument(at: index), cell: block.cell(at: index), key: key,
                    hash: Slot.hash(of: key), created: block.created(at: index), to: &state)
            }
        }
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// Whether both hold the same bytes.
    fileprivate func isSame(as other: UnsafeBufferPointer<UInt8>) -> Bool {
        guard count == other.count else { return false }
        guard let first = baseAddress, let second = other.baseAddress else {
            return true
        }
        return unsafe memcmp(first, second, count) == 0
    }
}
