// SPDX-License-Identifier: Apache-2.0
// A run of series that grows at its end only, so that a scrape can read it without a lock.
//
// A series is a record (where its labels end, which cell it has, when it was made), its rendered
// labels, which start where those before it end, and its instrument. One thread at a time appends,
// under the table's lock. Everything below `published` never changes again but for the mark that a
// series was removed; `published` is stored with release and loaded with acquire, so a reader sees
// whole series only.
//
// The block owns its instruments until it is freed, removed ones too. So whoever can still print
// a series keeps its cells from being given to another one.

internal import Synchronization

/// What a scrape needs to print one series.
struct SeriesRecord {
    let cell: Cell
    let labelsEnd: Int32
    /// When it was made, as the table counts time.
    let created: UInt32
}

/// A fixed number of places for series, filled from the front.
@safe final class SeriesBlock: @unchecked Sendable {
    // SAFETY (of `@unchecked`): `append` is called under the table's lock only; readers stay
    // below `published`.
    let capacity: Int
    let labelsCapacity: Int

    private let records: UnsafeMutablePointer<SeriesRecord>
    private let instruments: UnsafeMutablePointer<AnyObject>
    private let removed: UnsafeMutablePointer<Atomic<Bool>>
    private let labels: UnsafeMutablePointer<UInt8>
    private let published = Atomic<Int>(0)
    private let labelsUsed = Atomic<Int>(0)

    init(capacity: Int, labelsCapacity: Int) {
        self.capacity = capacity
        self.labelsCapacity = labelsCapacity
        unsafe records = .allocate(capacity: capacity)
        unsafe instruments = .allocate(capacity: capacity)
        unsafe removed = .allocate(capacity: capacity)
        unsafe labels = .allocate(capacity: labelsCapacity)
    }

    deinit {
        let count = self.count
        // SAFETY: the first `count` places were initialised by `append`, and nobody reads now.
        unsafe records.deinitialize(count: count).deallocate()
        unsafe instruments.deinitialize(count: count).deallocate()
        unsafe removed.deinitialize(count: count).deallocate()
        unsafe labels.deallocate()
    }

    /// Series that readers may look at, removed ones included.
    var count: Int {
        published.load(ordering: .acquiring)
    }

    /// Bytes of rendered labels in this block.
    var labelBytes: Int {
        labelsUsed.load(ordering: .relaxed)
    }

    /// Adds a series, or returns `false` when the block has no place for it.
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
            cell: cell, labelsEnd: Int32(start + key.count), created: created)
        // SAFETY: `index` is below the capacity, and its place was never initialised.
        unsafe (records + index).initialize(to: record)
        unsafe (instruments + index).initialize(to: instrument)
        unsafe (removed + index).initialize(to: Atomic(false))
        labelsUsed.store(start + key.count, ordering: .relaxed)
        // ORDERING: release, so that a scrape that sees the new count sees the series behind it.
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

    /// When a series was made, as the table counts time.
    func created(at index: Int) -> UInt32 {
        // SAFETY: callers pass an index below `count`.
        unsafe records[index].created
    }

    /// The instrument of a series.
    func instrument(at index: Int) -> AnyObject {
        // SAFETY: callers pass an index below `count`.
        unsafe instruments[index]
    }

    /// Tells scrapes to pass over a series from now on.
    func markRemoved(at index: Int) {
        // ORDERING: relaxed; a scrape that runs now may print the series once more.
        unsafe removed[index].store(true, ordering: .relaxed)
    }

    /// Whether a series was removed.
    func isRemoved(at index: Int) -> Bool {
        unsafe removed[index].load(ordering: .relaxed)
    }
}

/// The series of a block up to a moment.
struct SeriesRun: Sendable {
    let block: SeriesBlock
    let count: Int
}
