// SPDX-License-Identifier: Apache-2.0
// The series of one family: lookup, limit and removal.
//
// Looking up an existing series takes no lock (SeriesLookup, ReaderGate), unless the series is not
// plain (SeriesKey) or the family has an idle time, because only the lock guarantees to expiry that
// nothing else holds an instrument. Past the limit, looking up a new series returns the overflow
// series: one hash, one failed probe, nothing stored.

internal import OutriderThreading
internal import Synchronization

/// The series of a family; thread-safe.
final class SeriesTable: Sendable {
    /// The resolution of creation times, in steps per second: 32 bits last for 8 years.
    private static let stepsPerSecond = 16.0

    /// The result of a lookup.
    struct Found {
        let instrument: AnyObject
        /// Whether it is the overflow series, because there was no room for the requested one.
        let isOverflow: Bool
        /// Whether the limit in bytes was reached, rather than the limit in series.
        var lacksBytes = false
    }

    let clock: any MetricClock
    let state: Guarded<SeriesWriter>
    /// The expiry of idle series; nil if they are kept.
    let expiry: IdleExpiry?
    /// The rendered labels of the overflow series; empty if there is none.
    let overflowKey: [UInt8]
    private let limit: Int
    /// The limit on the size of their labels; nil if there is none.
    private let budget: FamilyBudget?
    private let key: SeriesKey
    private let gate = ReaderGate.shared
    /// The address of the table that readers use, kept alive by the state or `retired`.
    private let current: Atomic<UInt>
    private let retired = Guarded(RetiredObjects())
    /// When the table was created, in seconds since the epoch.
    private let epoch: Double

    /// - Parameters:
    ///   - expectsMany: False for a family without labels, which only ever has one series.
    ///   - limit: The maximum number of series, the overflow series not included.
    ///   - budget: The limit on the size of their labels; nil if there is none.
    ///   - overflowKey: The rendered labels of the overflow series; empty if there is none.
    ///   - heads: The bytes before each label's value; nil if they differ from series to series.
    ///   - expiry: The expiry of idle series; nil keeps them.
    init(
        expectsMany: Bool, limit: Int, budget: FamilyBudget?, overflowKey: [UInt8],
        heads: LabelHeads?, expiry: IdleExpiry?, clock: any MetricClock
    ) {
        self.limit = limit
        self.budget = budget
        self.overflowKey = overflowKey
        self.expiry = expiry
        self.clock = clock
        epoch = clock.secondsSinceEpoch
        key = SeriesKey(heads)
        let writer = SeriesWriter(
            expectsMany: expectsMany, isWatched: expiry != nil, overflowKey: overflowKey, key: key)
        current = Atomic(Self.address(of: writer.lookup))
        state = Guarded(writer)
    }

    deinit {
        budget?.note(state.withLock { $0.labelBytes }, became: 0)
        key.destroy()
    }

    // MARK: - Readers

    private static func address(of table: SeriesLookup) -> UInt {
        unsafe UInt(bitPattern: Unmanaged.passUnretained(table).toOpaque())
    }

    /// Calls `body` with the instrument of the plain series with these values, without the lock;
    /// nil if there is none, which is only certain under the lock.
    @inline(__always)
    func withPlain<let count: Int, Result>(
        _ values: SeriesKey.Values<count>, _ body: (AnyObject) -> Result
    ) -> Result? {
        if expiry != nil { return nil }
        guard let hash = unsafe key.hash(of: values) else { return nil }
        return gate.whileReading {
            // ORDERING: sequentially consistent, as the gate requires.
            // SAFETY: a table is freed only when no reader that may have seen its address is left.
            let table = unsafe Unmanaged<SeriesLookup>.fromOpaque(
                UnsafeRawPointer(bitPattern: current.load(ordering: .sequentiallyConsistent))
                    .unsafelyUnwrapped)
            return unsafe table._withUnsafeGuaranteedRef { table in
                unsafe table.withInstrument(hash, values, key, body)
            }
        }
    }

    /// Publishes the changed table to readers; the old one is freed when its readers have left.
    private func publish(_ state: SeriesWriter, instead old: SeriesLookup) {
        if state.lookup === old { return }
        current.store(Self.address(of: state.lookup), ordering: .sequentiallyConsistent)
        retired.withLock { $0.retire(old) }
    }

    /// Runs `body`, which may change the series, under the lock.
    func changing<Result>(_ body: (inout SeriesWriter) -> Result) -> Result {
        let result = state.withLock { state in
            let (old, bytes) = (state.lookup, state.labelBytes)
            defer {
                publish(state, instead: old)
                budget?.note(bytes, became: state.labelBytes)
            }
            return body(&state)
        }
        freeUnread()
        return result
    }

    /// Frees tables that no reader can be reading any more.
    func freeUnread() {
        let unread = retired.withLock { $0.reclaim(gate) }
        withExtendedLifetime(unread) {}
    }

    // MARK: - Series

    /// The current series, for a scrape to read without the lock.
    ///
    /// All counts are taken at once: a series that is removed and created again during the scrape
    /// gets a slot that the scrape does not reach, so it is never written twice.
    var runs: [SeriesRun] {
        freeUnread()
        return state.withLock { state in state.blocks.map { SeriesRun(block: $0, count: $0.count) }
        }
    }

    /// The number of current series.
    var count: Int {
        state.withLock { $0.liveCount }
    }

    /// When a series started to count from zero, in seconds since the epoch, to a sixteenth of a
    /// second.
    func secondsAtCreation(of index: Int, in run: SeriesRun) -> Double {
        epoch + Double(run.block.created(at: index)) / Self.stepsPerSecond
    }

    /// The steps since the table was created; zero if the clock was set back to before that.
    var now: UInt32 {
        let steps = (clock.secondsSinceEpoch - epoch) * Self.stepsPerSecond
        return UInt32(min(max(0, steps), Double(UInt32.max)))
    }

    /// The instrument with these rendered labels, created by `make` if missing; past the limit,
    /// that of the overflow series.
    ///
    /// `make` runs under the table's lock, once for each series.
    func findOrMake(
        _ key: UnsafeBufferPointer<UInt8>, make: SeriesWriter.Maker
    ) -> Found {
        let hash = unsafe self.key.hash(of: key)
        return changing { state in
            if let location = unsafe state.find(key, hash: hash) {
                return Found(instrument: state.instrument(at: location), isOverflow: false)
            }
            let isFull = state.isFull(limit)
            let lacksBytes =
                budget?.hasRoom(for: key.count, beside: state.labelBytes) == false
            if isFull || lacksBytes, unsafe !state.isOverflow(key) {
                return Found(
                    instrument: overflow(in: &state, make: make), isOverflow: true,
                    lacksBytes: !isFull)
            }
            return Found(
                instrument: unsafe add(key, hash: hash, make, to: &state), isOverflow: false)
        }
    }

    /// The instrument of the overflow series; for a family without labels, that of its one series.
    func overflow(make: SeriesWriter.Maker) -> AnyObject {
        changing { overflow(in: &$0, make: make) }
    }

    /// Whether an instrument is that of the overflow series.
    func isOverflow(_ instrument: AnyObject) -> Bool {
        state.withLock { $0.overflow === instrument }
    }

    private func overflow(in state: inout SeriesWriter, make: SeriesWriter.Maker) -> AnyObject {
        if let overflow = state.overflow { return overflow }
        return unsafe overflowKey.withUnsafeBufferPointer { key in
            let hash = unsafe self.key.hash(of: key)
            if let location = unsafe state.find(key, hash: hash) {
                return state.instrument(at: location)
            }
            return unsafe add(key, hash: hash, make, to: &state)
        }
    }

    private func add(
        _ key: UnsafeBufferPointer<UInt8>, hash: UInt64, _ make: SeriesWriter.Maker,
        to state: inout SeriesWriter
    ) -> AnyObject {
        let (instrument, cell) = make()
        unsafe state.append(instrument, cell: cell, key: key, hash: hash, created: now)
        return instrument
    }

    /// The instrument with these rendered labels; nil if there is none.
    func find(_ key: UnsafeBufferPointer<UInt8>) -> AnyObject? {
        let hash = unsafe self.key.hash(of: key)
        return state.withLock { state in
            unsafe state.find(key, hash: hash).map { state.instrument(at: $0) }
        }
    }

    /// Sets the creation time of the series with these rendered labels to now, if it has this
    /// instrument.
    func restart(_ instrument: AnyObject, _ key: UnsafeBufferPointer<UInt8>) {
        let hash = unsafe self.key.hash(of: key)
        state.withLock { state in
            guard let location = unsafe state.find(key, hash: hash),
                state.instrument(at: location) === instrument
            else { return }
            state.blocks[location.block].setCreated(at: location.index, to: now)
        }
    }

    /// Keeps only the series with these rendered labels, created if missing.
    func keepOnly(_ key: UnsafeBufferPointer<UInt8>, make: SeriesWriter.Maker) {
        let hash = unsafe self.key.hash(of: key)
        changing { state in
            let kept = unsafe state.find(key, hash: hash)
            for (blockIndex, block) in state.blocks.enumerated() {
                for index in 0..<block.count where !block.isRemoved(at: index) {
                    if blockIndex == kept?.block && index == kept?.index { continue }
                    let other = unsafe block.labels(at: index)
                    if let location = unsafe state.find(other, hash: self.key.hash(of: other)) {
                        state.remove(location)
                    }
                }
            }
            state.rebuildIfWorthwhile()
            if kept == nil { _ = unsafe add(key, hash: hash, make, to: &state) }
        }
    }

    /// Removes the series with these rendered labels; returns whether there was one.
    func remove(_ key: UnsafeBufferPointer<UInt8>) -> Bool {
        let hash = unsafe self.key.hash(of: key)
        return changing { state in
            guard let location = unsafe state.find(key, hash: hash) else { return false }
            state.remove(location)
            state.rebuildIfWorthwhile()
            return true
        }
    }

    /// Removes every series whose rendered labels satisfy `matches`; returns the number of removed
    /// series.
    ///
    /// - Complexity: Linear in the number of series of the family, under the lock.
    func removeAll(where matches: (UnsafeBufferPointer<UInt8>) -> Bool) -> Int {
        changing { state in
            var count = 0
            for block in state.blocks {
                for index in 0..<block.count where !block.isRemoved(at: index) {
                    let key = unsafe block.labels(at: index)
                    guard unsafe matches(key),
                        let location = unsafe state.find(key, hash: self.key.hash(of: key))
                    else { continue }
                    state.remove(location)
                    count += 1
                }
            }
            state.rebuildIfWorthwhile()
            return count
        }
    }
}
