// SPDX-License-Identifier: Apache-2.0
// The series of one family, behind a lock, and the limit on how many they are.
//
// Who asks for a series that is there takes no lock for it (LookupTable, ReaderGate), unless it is
// one of those that SeriesKey does not call plain, or the family forgets idle series: only under the
// lock is it known that nobody holds one. Past the limit, whoever asks for a series that is not there
// is given the overflow series: one hash, one probe that misses, nothing kept.

internal import OutriderThreading
internal import Synchronization

/// The series of a family; thread-safe.
final class SeriesTable: Sendable {
    /// Steps of a second in which a series remembers when it was made: 32 bits last for 8 years.
    private static let stepsPerSecond = 16.0

    /// What a look-up gives.
    struct Found {
        let instrument: AnyObject
        /// Whether it is the overflow series, for want of room for the one that was asked for.
        let isOverflow: Bool
        /// Whether that was for want of bytes, rather than of series.
        var lacksBytes = false
    }

    let clock: any MetricClock
    let state: Guarded<SeriesIndex>
    /// What there is to forgetting idle series; nil if they are kept.
    let expiry: IdleExpiry?
    /// The rendered labels of the overflow series; empty if there is none.
    let overflowKey: [UInt8]
    private let limit: Int
    /// How much text their labels may be; nil if there is no limit.
    private let budget: FamilyBudget?
    private let key: SeriesKey
    private let gate = ReaderGate.shared
    /// The address of the table that readers use, which the state or the graveyard keeps.
    private let current: Atomic<UInt>
    private let graveyard = Guarded(Graveyard())
    /// When the table was made, in seconds since the epoch.
    private let epoch: Double

    /// - Parameters:
    ///   - expectsMany: False for a family without labels, which has one series for good.
    ///   - limit: Series that there may be besides the overflow series.
    ///   - budget: How much text their labels may be; nil if there is no limit.
    ///   - overflowKey: The rendered labels of the overflow series; empty if there is none.
    ///   - heads: What stands before each label's value; nil if they differ from series to series.
    ///   - expiry: How idle series are forgotten; nil keeps them.
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
        let index = SeriesIndex(
            expectsMany: expectsMany, isWatched: expiry != nil, overflowKey: overflowKey, key: key)
        current = Atomic(Self.address(of: index.lookup))
        state = Guarded(index)
    }

    deinit {
        budget?.note(state.withLock { $0.labelBytes }, became: 0)
        key.destroy()
    }

    // MARK: - Readers

    private static func address(of table: LookupTable) -> UInt {
        unsafe UInt(bitPattern: Unmanaged.passUnretained(table).toOpaque())
    }

    /// Calls `body` with the instrument of the plain series with these values, without the lock; nil
    /// if there is none, which only the lock can tell for sure.
    @inline(__always)
    func withPlain<let count: Int, Result>(
        _ values: SeriesKey.Values<count>, _ body: (AnyObject) -> Result
    ) -> Result? {
        if expiry != nil { return nil }
        guard let hash = unsafe key.hash(of: values) else { return nil }
        return gate.whileReading {
            // ORDERING: sequentially consistent, as the gate asks.
            // SAFETY: a table is freed when nobody reads that may have seen its address.
            let table = unsafe Unmanaged<LookupTable>.fromOpaque(
                UnsafeRawPointer(bitPattern: current.load(ordering: .sequentiallyConsistent))
                    .unsafelyUnwrapped)
            return unsafe table._withUnsafeGuaranteedRef { table in
                unsafe table.withInstrument(hash, values, key, body)
            }
        }
    }

    /// Shows readers what has changed; what they may be reading goes when they have left.
    private func publish(_ state: SeriesIndex, instead old: LookupTable) {
        if state.lookup === old { return }
        current.store(Self.address(of: state.lookup), ordering: .sequentiallyConsistent)
        graveyard.withLock { $0.bury(old) }
    }

    /// Runs `body`, which may change the series, under the lock.
    func changing<Result>(_ body: (inout SeriesIndex) -> Result) -> Result {
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

    /// Frees what no reader can be reading any more.
    func freeUnread() {
        let unread = graveyard.withLock { $0.dig(gate) }
        withExtendedLifetime(unread) {}
    }

    // MARK: - Series

    /// The series as they are now, for a scrape to read at leisure.
    ///
    /// The counts are taken together: a series that is removed and made again while the scrape
    /// reads stands in a place that this scrape does not come to, so it is never printed twice.
    var runs: [SeriesRun] {
        freeUnread()
        return state.withLock { state in state.blocks.map { SeriesRun(block: $0, count: $0.count) }
        }
    }

    /// Series that exist now.
    var count: Int {
        state.withLock { $0.living }
    }

    /// When a series began to count from zero, in seconds since the epoch, to a sixteenth.
    func secondsAtCreation(of index: Int, in run: SeriesRun) -> Double {
        epoch + Double(run.block.created(at: index)) / Self.stepsPerSecond
    }

    /// The steps that have passed since the table was made; a clock that was set back gives none.
    var now: UInt32 {
        let steps = (clock.secondsSinceEpoch - epoch) * Self.stepsPerSecond
        return UInt32(min(max(0, steps), Double(UInt32.max)))
    }

    /// The instrument with these rendered labels, made by `make` if there is none yet; past the
    /// limit, that of the overflow series.
    ///
    /// `make` runs under the table's lock, once for each series.
    func findOrMake(
        _ key: UnsafeBufferPointer<UInt8>, make: SeriesIndex.Maker
    ) -> Found {
        let hash = unsafe self.key.hash(of: key)
        return changing { state in
            if let place = unsafe state.find(key, hash: hash) {
                return Found(instrument: state.instrument(at: place), isOverflow: false)
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

    /// The instrument of the overflow series; of a family without labels, that of its one series.
    func overflow(make: SeriesIndex.Maker) -> AnyObject {
        changing { overflow(in: &$0, make: make) }
    }

    /// Whether an instrument is that of the overflow series.
    func isOverflow(_ instrument: AnyObject) -> Bool {
        state.withLock { $0.overflow === instrument }
    }

    private func overflow(in state: inout SeriesIndex, make: SeriesIndex.Maker) -> AnyObject {
        if let overflow = state.overflow { return overflow }
        return unsafe overflowKey.withUnsafeBufferPointer { key in
            let hash = unsafe self.key.hash(of: key)
            if let place = unsafe state.find(key, hash: hash) { return state.instrument(at: place) }
            return unsafe add(key, hash: hash, make, to: &state)
        }
    }

    private func add(
        _ key: UnsafeBufferPointer<UInt8>, hash: UInt64, _ make: SeriesIndex.Maker,
        to state: inout SeriesIndex
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

    /// Lets the series with these rendered labels have begun to count now, if it has this instrument.
    func restart(_ instrument: AnyObject, _ key: UnsafeBufferPointer<UInt8>) {
        let hash = unsafe self.key.hash(of: key)
        state.withLock { state in
            guard let place = unsafe state.find(key, hash: hash),
                state.instrument(at: place) === instrument
            else { return }
            state.blocks[place.block].setCreated(at: place.index, to: now)
        }
    }

    /// Makes the series with these rendered labels the only one.
    func keepOnly(_ key: UnsafeBufferPointer<UInt8>, make: SeriesIndex.Maker) {
        let hash = unsafe self.key.hash(of: key)
        changing { state in
            let kept = unsafe state.find(key, hash: hash)
            for (number, block) in state.blocks.enumerated() {
                for index in 0..<block.count where !block.isRemoved(at: index) {
                    if number == kept?.block && index == kept?.index { continue }
                    let other = unsafe block.labels(at: index)
                    if let place = unsafe state.find(other, hash: self.key.hash(of: other)) {
                        state.bury(place)
                    }
                }
            }
            state.rebuildIfWorthwhile()
            if kept == nil { _ = unsafe add(key, hash: hash, make, to: &state) }
        }
    }

    /// Removes the series with these rendered labels; tells whether there was one.
    func remove(_ key: UnsafeBufferPointer<UInt8>) -> Bool {
        let hash = unsafe self.key.hash(of: key)
        return changing { state in
            guard let place = unsafe state.find(key, hash: hash) else { return false }
            state.bury(place)
            state.rebuildIfWorthwhile()
            return true
        }
    }

    /// Removes every series whose rendered labels satisfy `matches`; returns how many those were.
    ///
    /// - Complexity: one look at each series of the family, under the lock.
    func removeAll(where matches: (UnsafeBufferPointer<UInt8>) -> Bool) -> Int {
        changing { state in
            var count = 0
            for block in state.blocks {
                for index in 0..<block.count where !block.isRemoved(at: index) {
                    let key = unsafe block.labels(at: index)
                    guard unsafe matches(key),
                        let place = unsafe state.find(key, hash: self.key.hash(of: key))
                    else { continue }
                    state.bury(place)
                    count += 1
                }
            }
            state.rebuildIfWorthwhile()
            return count
        }
    }
}
