// SPDX-License-Identifier: Apache-2.0
// The index of a family's series: a hash table over blocks of series, read without a lock.
//
//     slots   open addressing, linear probing; each: 32 bits of hash | block | index in the block
//     blocks  SeriesBlock, appended to, never changed in place
//
// One thread at a time fills free slots, under the lock of the series table. Readers see a slot
// either empty or complete. When the table is full, one with twice the slots replaces it; the old
// one stays unchanged until its last reader has left (ReaderGate).

internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A slot of the table, packed into 64 bits: hash (32) | block (20) | index in the block (12).
enum Slot {
    static let empty: UInt64 = 0
    static let tombstone: UInt64 = 1
    private static let indexBits: UInt64 = 12
    private static let blockBits: UInt64 = 20

    static func pack(hash: UInt64, block: Int, index: Int) -> UInt64 {
        // Blocks are numbered from 1 here, so that no packed slot equals `empty` or `tombstone`.
        hash << 32 | UInt64(block + 1) << indexBits | UInt64(index)
    }

    static func hash(in slot: UInt64) -> UInt64 { slot >> 32 }

    static func block(in slot: UInt64) -> Int {
        Int(slot >> indexBits & (1 << blockBits - 1)) - 1
    }

    static func index(in slot: UInt64) -> Int { Int(slot & (1 << indexBits - 1)) }
}

/// A hash table of series; the comment above says which thread may do what.
@safe final class SeriesLookup: @unchecked Sendable {
    // SAFETY (of `@unchecked`): slots are atomic; a block is added to the directory before the
    // first slot that refers to it is stored with release, and never changes.
    let slotCount: Int
    private let slots: UnsafeMutablePointer<Atomic<UInt64>>
    private let directory: UnsafeMutablePointer<Unmanaged<SeriesBlock>>
    private let blockCapacity: Int
    private var blockCount = 0

    /// Creates an empty table.
    ///
    /// - Parameters:
    ///   - slotCount: A power of two.
    ///   - blocks: The existing blocks.
    init(slotCount: Int, blocks: [SeriesBlock]) {
        self.slotCount = slotCount
        blockCapacity = blocks.count * 2 + max(2, slotCount / 512)
        unsafe slots = .allocate(capacity: slotCount)
        for index in 0..<slotCount { unsafe (slots + index).initialize(to: Atomic(Slot.empty)) }
        unsafe directory = .allocate(capacity: blockCapacity)
        for block in blocks { _ = add(block) }
    }

    deinit {
        // SAFETY: `add` initialised `blockCount` entries, and there are no readers now.
        for index in 0..<blockCount { unsafe directory[index].release() }
        unsafe directory.deallocate()
        unsafe slots.deallocate()
    }

    /// Adds a block; false if the directory is full.
    func add(_ block: SeriesBlock) -> Bool {
        guard blockCount < blockCapacity else { return false }
        unsafe (directory + blockCount).initialize(to: Unmanaged.passRetained(block))
        blockCount += 1
        return true
    }

    /// Stores a series in the first free slot of its probe sequence.
    func insert(_ packed: UInt64) {
        let mask = slotCount - 1
        var position = Int(Slot.hash(in: packed)) & mask
        while slot(at: position) != Slot.empty { position = (position + 1) & mask }
        // ORDERING: release, so that a thread that sees the slot sees the series.
        unsafe slots[position].store(packed, ordering: .releasing)
    }

    /// Replaces a slot with a tombstone.
    func clear(at position: Int) {
        unsafe slots[position].store(Slot.tombstone, ordering: .releasing)
    }

    /// Copies every series into an empty table.
    func copy(into other: SeriesLookup) {
        for position in 0..<slotCount {
            let slot = slot(at: position)
            if slot != Slot.empty && slot != Slot.tombstone { other.insert(slot) }
        }
    }

    @inline(__always)
    private func slot(at position: Int) -> UInt64 {
        // ORDERING: acquire; see `insert`.
        // SAFETY: callers mask the position.
        unsafe slots[position].load(ordering: .acquiring)
    }

    /// The location of a series: its slot, its block, and its index in the block.
    struct Location {
        let slot: Int
        let block: Int
        let index: Int
    }

    /// The location of the series with this hash for which `isIt` is true.
    @inline(__always)
    func find(_ hash: UInt64, where isIt: (_ block: SeriesBlock, _ index: Int) -> Bool) -> Location?
    {
        let mask = slotCount - 1
        var position = Int(hash) & mask
        while true {
            let slot = slot(at: position)
            if slot == Slot.empty { return nil }
            if slot != Slot.tombstone, Slot.hash(in: slot) == hash {
                let (block, index) = (Slot.block(in: slot), Slot.index(in: slot))
                // SAFETY: a block is in the directory before a slot refers to it.
                let isFound = unsafe directory[block]._withUnsafeGuaranteedRef { isIt($0, index) }
                if isFound { return Location(slot: position, block: block, index: index) }
            }
            position = (position + 1) & mask
        }
    }

    /// Calls `body` with the instrument of the plain series with these values; nil if missing.
    @inline(__always)
    func withInstrument<let count: Int, Result>(
        _ hash: UInt64, _ values: SeriesKey.Values<count>, _ key: SeriesKey,
        _ body: (AnyObject) -> Result
    ) -> Result? {
        let location = find(hash) { block, index in
            unsafe key.matches(values, block.labels(at: index))
        }
        guard let location else { return nil }
        // SAFETY: as above.
        return unsafe directory[location.block]._withUnsafeGuaranteedRef { block in
            block.withInstrument(at: location.index, body)
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
