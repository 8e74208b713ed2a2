// SPDX-License-Identifier: Apache-2.0
// An append-only block of series, which a scrape reads without a lock.
//
// A series consists of a record (where its labels end, its cell, its creation time), its rendered
// labels, which follow those of the series before it, and its instrument. One thread at a time
// appends, under the table's lock. Below `published`, only two values change: the mark that a
// series was removed or hidden, and a creation time, on a reset. `published` is stored with release
// and loaded with acquire, so a reader only sees complete series.
//
// The block owns its instruments, removed ones included, until it is freed. So the cells of a
// series are not reused while a scrape can still read the series.

internal import Synchronization

/// The data that a scrape needs to write one series.
struct SeriesRecord: ~Copyable {
    let cell: Cell
    let labelsEnd: Int32
    /// When it started to count from zero, in the table's units.
    ///
    /// ORDERING: relaxed; it does not guard other memory.
    let created: Atomic<UInt32>
}

/// Whether scrapes write a series.
enum SeriesMark: UInt8, AtomicRepresentable {
    case shown
    /// Idle, but the service holds its instrument.
    case hidden
    case removed
}

/// A fixed number of slots for series, filled from the front.
@safe final class SeriesBlock: @unchecked Sendable {
    // SAFETY (of `@unchecked`): `append` is called under the table's lock only; readers stay
    // below `published`.
    let capacity: Int
    let labelsCapacity: Int

    private let records: UnsafeMutablePointer<SeriesRecord>
    private let instruments: UnsafeMutablePointer<AnyObject>
    private let marks: UnsafeMutablePointer<Atomic<SeriesMark>>
    /// The last scrape's observation of each series; only in a family with an idle time.
    private let watches: UnsafeMutablePointer<IdleWatch>?
    private let labels: UnsafeMutablePointer<UInt8>
    private let published = Atomic<Int>(0)
    private let labelsUsed = Atomic<Int>(0)

    init(capacity: Int, labelsCapacity: Int, isWatched: Bool) {
        self.capacity = capacity
        self.labelsCapacity = labelsCapacity
        unsafe records = .allocate(capacity: capacity)
        unsafe instruments = .allocate(capacity: capacity)
        unsafe marks = .allocate(capacity: capacity)
        unsafe watches = isWatched ? .allocate(capacity: capacity) : nil
        unsafe labels = .allocate(capacity: labelsCapacity)
    }

    deinit {
        let count = self.count
        // SAFETY: `append` initialised the first `count` slots, and there are no readers now.
        unsafe records.deinitialize(count: count).deallocate()
        unsafe instruments.deinitialize(count: count).deallocate()
        unsafe marks.deinitialize(count: count).deallocate()
        unsafe watches?.deinitialize(count: count).deallocate()
        unsafe labels.deallocate()
    }

    /// The number of series that readers may access, removed ones included.
    var count: Int {
        published.load(ordering: .acquiring)
    }

    /// Bytes of rendered labels in this block.
    var labelBytes: Int {
        labelsUsed.load(ordering: .relaxed)
    }

    /// Adds a series; returns `false` if the block is full.
    func append(
        _ instrument: AnyObject, cell: Cell, labels key: UnsafeBufferPointer<UInt8>,
        created: UInt32
    ) -> Bool {
        let index = published.load(ordering: .relaxed)
        let start = labelBytes
        guard index < capacity, start + key.count <= labelsCapacity else { return false }
        if let source = key.baseAddress {
            // SAFETY: the guard checked that the bytes fit behind those in use.
            unsafe (labels + start).initialize(from: source, count: key.count)
        }
        let record = SeriesRecord(
            cell: cell, labelsEnd: Int32(start + key.count), created: Atomic(created))
        // SAFETY: `index` is below the capacity, and its slot is not initialised yet.
        unsafe (records + index).initialize(to: record)
        unsafe (instruments + index).initialize(to: instrument)
        unsafe (marks + index).initialize(to: Atomic(.shown))
        if let watches = unsafe watches {
            unsafe (watches + index).initialize(to: IdleWatch())
        }
        labelsUsed.store(start + key.count, ordering: .relaxed)
        // ORDERING: release, so that a scrape that sees the new count sees the series.
        published.store(index + 1, ordering: .releasing)
        return true
    }

    /// The rendered labels of a series, without braces; valid while the block is.
    func labels(at index: Int) -> UnsafeBufferPointer<UInt8> {
        // SAFETY: callers pass an index below `count`.
        let end = unsafe Int(records[index].labelsEnd)
        let start = index == 0 ? 0 : unsafe Int(records[index - 1].labelsEnd)
        return unsafe UnsafeBufferPointer(start: labels + start, count: end - start)
    }

    /// The first cell of a series.
    func cell(at index: Int) -> Cell {
        // SAFETY: callers pass an index below `count`.
        unsafe records[index].cell
    }

    /// When a series started to count from zero, in the table's units.
    func created(at index: Int) -> UInt32 {
        // SAFETY: callers pass an index below `count`.
        unsafe records[index].created.load(ordering: .relaxed)
    }

    /// Sets the creation time of a series.
    func setCreated(at index: Int, to created: UInt32) {
        // SAFETY: callers pass an index below `count`.
        unsafe records[index].created.store(created, ordering: .relaxed)
    }

    /// The instrument of a series.
    func instrument(at index: Int) -> AnyObject {
        // SAFETY: callers pass an index below `count`.
        unsafe instruments[index]
    }

    /// Calls `body` with the instrument of a series, without counting a reference.
    @inline(__always)
    func withInstrument<Result>(at index: Int, _ body: (AnyObject) -> Result) -> Result {
        // SAFETY: callers pass an index below `count`; the block owns the instrument.
        let instrument = unsafe Unmanaged.passUnretained(instruments[index])
        return unsafe instrument._withUnsafeGuaranteedRef { body($0) }
    }

    // ORDERING: relaxed, here and below; a concurrent scrape may write the series once more.

    /// Whether scrapes write a series.
    func mark(of index: Int) -> SeriesMark {
        unsafe marks[index].load(ordering: .relaxed)
    }

    /// Whether scrapes write a series.
    func isShown(at index: Int) -> Bool { mark(of: index) == .shown }

    /// Whether a series was removed.
    func isRemoved(at index: Int) -> Bool { mark(of: index) == .removed }

    /// Sets whether scrapes write a series.
    func setMark(of index: Int, to mark: SeriesMark) {
        unsafe marks[index].store(mark, ordering: .relaxed)
    }
}

// MARK: - Expiry

// Called under the table's lock only.
extension SeriesBlock {
    /// The last scrape's observation of a series; an empty one in a family without an idle time.
    func watch(of index: Int) -> IdleWatch {
        // SAFETY: callers pass an index below `count`.
        unsafe watches?[index] ?? IdleWatch()
    }

    /// Stores a scrape's observation of a series.
    func setWatch(of index: Int, to watch: IdleWatch) {
        // SAFETY: callers pass an index below `count`.
        unsafe watches?[index] = watch
    }

    /// Whether this block holds the only reference to an instrument, which must be of this class.
    ///
    /// Weak references do not count. If it does, no thread records on the instrument, and the table
    /// is the only way to get it; earlier recordings are visible to the caller.
    func isUnreferenced<Instrument: AnyObject>(at index: Int, as _: Instrument.Type) -> Bool {
        // In a build without optimization, the runtime cannot check this for an `AnyObject`.
        // SAFETY: callers pass an index below `count`, and the class of the family's instruments.
        let isUnreferenced = unsafe (instruments + index).withMemoryRebound(
            to: Instrument.self, capacity: 1
        ) { unsafe isKnownUniquelyReferenced(&$0.pointee) }
        // ORDERING: pairs with the release in the runtime's decrement of the count, so that the
        // last numbers recorded by the former holder are visible.
        if isUnreferenced { atomicMemoryFence(ordering: .acquiring) }
        return isUnreferenced
    }
}

/// The series of a block up to a moment.
struct SeriesRun: Sendable {
    let block: SeriesBlock
    let count: Int
}
