// SPDX-License-Identifier: Apache-2.0
// The first cache level: orders in this process, for a few seconds.

import OutriderInstruments
import Synchronization

final class OrderCache: Sendable {
    /// The cached result of a lookup.
    enum Known: Sendable {
        case order(Order)
        /// No order has that ID.
        case nothing
    }

    private struct Entry {
        let known: Known
        let end: ContinuousClock.Instant
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// The keys in order of insertion, in a ring buffer: the oldest is evicted first.
        var ring: [String] = []
        var next = 0
    }

    private final class Contents: Sendable {
        let state = InstrumentedLock("order-cache", State())

        var count: Int { state.withLock { $0.entries.count } }
    }

    private let contents = Contents()
    private let metrics: CacheMetrics
    private let capacity: Int
    private let life: Duration

    /// A cache of at most `capacity` orders, each for `life`.
    init(capacity: Int, life: Duration) {
        self.capacity = capacity
        self.life = life
        metrics = CacheMetrics("orders", level: "1") { [weak contents] in contents?.count }
    }

    /// The cached result for a key; nil if it has to be loaded.
    func find(_ key: String) -> Known? {
        enum Found {
            case known(Known)
            case expired, none
        }
        let found: Found = contents.state.withLock { state in
            guard let entry = state.entries[key] else { return .none }
            if entry.end > .now { return .known(entry.known) }
            state.entries[key] = nil
            return .expired
        }
        switch found {
        case .known(let known):
            if case .nothing = known { metrics.negativeHit() } else { metrics.hit() }
            return known
        case .expired:
            metrics.evicted(.expired)
            fallthrough
        case .none:
            metrics.miss()
            return nil
        }
    }

    /// Caches a result.
    ///
    /// A value that was loaded before a change but is stored after it is wrong until it expires, so
    /// the lifetime is short.
    func put(_ known: Known, as key: String) {
        if life == .zero { return }
        let entry = Entry(known: known, end: .now + life)
        let wasFull = contents.state.withLock { state in
            if state.entries.updateValue(entry, forKey: key) != nil { return false }
            if state.ring.count < capacity {
                state.ring.append(key)
                return false
            }
            let oldest = state.ring[state.next]
            state.ring[state.next] = key
            state.next = (state.next + 1) % capacity
            return oldest != key && state.entries.removeValue(forKey: oldest) != nil
        }
        if wasFull { metrics.evicted(.size) }
    }

    /// Removes an entry that was changed.
    func invalidate(_ key: String) {
        let wasThere = contents.state.withLock { $0.entries.removeValue(forKey: key) != nil }
        if wasThere { metrics.evicted(.invalidated) }
    }

    /// Removes all entries.
    func clear() {
        let count = contents.state.withLock { state in
            defer { state = State() }
            return state.entries.count
        }
        metrics.evicted(.invalidated, count: count)
    }
}
