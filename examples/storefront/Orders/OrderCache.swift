// SPDX-License-Identifier: Apache-2.0
// The first level of the cache: orders in this process, for a few seconds.

import OutriderInstruments
import Synchronization

final class OrderCache: Sendable {
    /// What is known of an order.
    enum Known: Sendable {
        case order(Order)
        /// There is none of that number.
        case nothing
    }

    private struct Entry {
        let known: Known
        let end: ContinuousClock.Instant
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// The keys in the order in which they came, in a ring: the oldest goes first.
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

    /// What is known of an order; nil if that has to be asked for.
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

    /// Remembers it.
    ///
    /// What was loaded before a change and comes here after it is wrong until its life ends: so that is short.
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

    /// Somebody changed it.
    func invalidate(_ key: String) {
        let wasThere = contents.state.withLock { $0.entries.removeValue(forKey: key) != nil }
        if wasThere { metrics.evicted(.invalidated) }
    }

    /// Nothing in it can be trusted.
    func clear() {
        let count = contents.state.withLock { state in
            defer { state = State() }
            return state.entries.count
        }
        metrics.evicted(.invalidated, count: count)
    }
}
