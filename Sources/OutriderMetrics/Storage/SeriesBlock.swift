// SPDX-License-Identifier: Apache-2.0
// A run of series that grows at its end only, so that a scrape can read it without a lock.
//
// A series is a record (where its labels end, which cell it has, when it was made), its rendered
// labels, which start where those before it end, and its instrument. One thread at a time appends,
// under the table's lock. Everything below `published` never changes again but for the mark that a
// series was removed or hidden, and for a creation time that a reset changes; `published` is stored with
// release and loaded with acquire, so a reader sees whole series only.
//
// The block owns its instruments until it is freed, removed ones too. So whoever can still print
// a series keeps its cells from being given to another one.

internal import Synchronization

/// What a scrape needs to print one series.
struct SeriesRecord: ~Copyable {
    let cell: Cell
    let labelsEnd: Int32
    /// When it began to count from zero, as the table counts time.
    ///
    /// ORDERING: relaxed; it stands for itself.
    let created: Atomic<UInt32>
}

/// Whether scrapes print a series.
enum SeriesMark: UInt8, AtomicRepresentable {
    case shown
    /// It was idle, and the service holds its instrument.
    case hidden
    case removed
}

/// A fixed number of places for series, filled from the front.
@safe final class SeriesBlock: @unchecked Sendable {
    // SAFETY (of `@unchecked`): `append` is called under the table's lock only; readers stay
    // below `published`.
    let capacity: Int
    let labelsCapacity: Int

    private let records: UnsafeMutablePointer<SeriesRecord>
    private let instruments: UnsafeMutablePointer<AnyObject>
    private let marks: UnsafeMutablePointer<Atomic<SeriesMark>>
    /// What the last scrape saw of each series; only in a family that forgets idle ones.
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
        // SAFETY: the first `count` places were initialised by `append`, and nobody reads now.
        unsafe records.deinitialize(count: count).deallocate()
        unsafe instruments.deinitialize(count: count).deallocate()
        unsafe marks.deinitialize(count: count).deallocate()
        unsafe watches?.deinitialize(count: count).deallocate()
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
            cell: cell, labelsEnd: Int32(start + key.count), created: Atomic(created))
        // SAFETY: `index` is below the capacity, and its place was never initialised.
        unsafe (records + index).initialize(to: record)
        unsafe (instruments + index).initialize(to: instrument)
        unsafe (marks + index).initialize(to: Atomic(.shown))
        if let watches = unsafe watches {
            unsafe (watches + index).initialize(to: IdleWatch())
        }
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

    /// When a series began to count from zero, as the table counts time.
    func created(at index: Int) -> UInt32 {
        // SAFETY: callers pass an index below `count`.
        unsafe records[index].created.load(ordering: .relaxed)
    }

    /// Changes when a series counts as made.
    func setCreated(at index: Int, to created: UInt32) {
        // SAFETY: callers pass an index below `count`.
        unsafe records[index].created.store(created, ordering: .relaxed)
    }

    /// The instrument of a series.
    func instrument(at index: Int) -> AnyObject {
        // SAFETY: callers pass an index below `count`.
        unsafe instruments[index]
    }

    /// Calls `body` with the instrument of a series, whose references are not counted for it.
    @inline(__always)
    func withInstrument<Result>(at index: Int, _ body: (AnyObject) -> Result) -> Result {
        // SAFETY: callers pass an index below `count`; the block owns the instrument.
        let instrument = unsafe Unmanaged.passUnretained(instruments[index])
        return unsafe instrument._withUnsafeGuaranteedRef { body($0) }
    }

    // ORDERING: relaxed, here and below; a scrape that runs now may print the series once more.

    /// Whether scrapes print a series.
    func mark(of index: Int) -> SeriesMark {
        unsafe marks[index].load(ordering: .relaxed)
    }

    /// Whether scrapes print a series.
    func isShown(at index: Int) -> Bool { mark(of: index) == .shown }

    /// Whether a series was removed.
    func isRemoved(at index: Int) -> Bool { mark(of: index) == .removed }

    /// Tells scrapes to print a series from now on, or to pass over it.
    func setMark(of index: Int, to mark: SeriesMark) {
        unsafe marks[index].store(mark, ordering: .relaxed)
    }
}

// MARK: - What expiry needs

// Called under the table's lock only.
extension SeriesBlock {
    /// What the last scrape saw of a series; of a family that does not look, nothing.
    func watch(of index: Int) -> IdleWatch {
        // SAFETY: callers pass an index below `count`.
        unsafe watches?[index] ?? IdleWatch()
    }

    /// Remembers what a scrape saw of a series.
    func setWatch(of index: Int, to watch: IdleWatch) {
        // SAFETY: callers pass an index below `count`.
        unsafe watches?[index] = watch
    }

    /// Whether this block holds the only reference to an instrument, which is of this class.
    ///
    /// Weak references do not count. If it does, nobody records on it and nobody can come by it but
    /// through the table; what was recorded before is seen by whoever asked.
    func isUnheld<Instrument: AnyObject>(at index: Int, as _: Instrument.Type) -> Bool {
        // Of an `AnyObject`, the runtime cannot tell in a build without optimization.
        // SAFETY: callers pass an index below `count`, and the class of the family's instruments.
        let isUnheld = unsafe (instruments + index).withMemoryRebound(
            to: Instrument.self, capacity: 1
        ) { unsafe isKnownUniquelyReferenced(&$0.pointee) }
        // ORDERING: pairs with the release in the runtime's decrement of the count, so that the last
        // numbers of whoever let go are seen.
        if isUnheld { atomicMemoryFence(ordering: .acquiring) }
        return isUnheld
    }
}

/// The series of a block up to a moment.
struct SeriesRun: Sendable {
    let block: SeriesBlock
    let count: Int
}
