// SPDX-License-Identifier: Apache-2.0
// Token buckets, one for each key: a burst at once, then a steady rate.

/// The balance of each key; a value type that its owner keeps behind a lock.
package struct TokenBuckets<Key: Hashable & Sendable>: Sendable {
    private struct Bucket: Sendable {
        var balance: Double
        var since: ContinuousClock.Instant
    }

    /// Keys that are remembered at one time.
    private static var capacity: Int { 4_096 }

    private let burst: Double
    private let rate: Double
    private var buckets: [Key: Bucket] = [:]

    /// Each key may take `burst` at once, and `rate` a second.
    package init(burst: Double, rate: Double) {
        self.burst = burst
        self.rate = rate
    }

    /// The balance of a key at this moment; negative if it is overdrawn.
    package func balance(for key: Key, at now: ContinuousClock.Instant) -> Double {
        buckets[key].map { value(of: $0, at: now) } ?? burst
    }

    /// Takes an amount, whether or not the balance covers it.
    ///
    /// The balance never falls below minus one burst, so that no key is locked out for ever.
    package mutating func take(_ amount: Double, for key: Key, at now: ContinuousClock.Instant) {
        if buckets[key] == nil, buckets.count >= Self.capacity { forget(at: now) }
        let balance = max(balance(for: key, at: now) - amount, -burst)
        buckets[key] = Bucket(balance: balance, since: now)
    }

    /// The number of keys that are remembered.
    package var count: Int { buckets.count }

    /// Forgets at least a quarter of the keys: those with a full burst, then those with the highest
    /// balance.
    ///
    /// Forgetting one key at a time would scan all keys for each new one.
    private mutating func forget(at now: ContinuousClock.Instant) {
        let lowestFirst =
            buckets
            .map { (key: $0.key, bucket: $0.value, balance: value(of: $0.value, at: now)) }
            .filter { $0.balance < burst }
            .sorted { $0.balance < $1.balance }
        buckets = Dictionary(
            uniqueKeysWithValues: lowestFirst.prefix(Self.capacity * 3 / 4)
                .map { ($0.key, $0.bucket) })
    }

    private func value(of bucket: Bucket, at now: ContinuousClock.Instant) -> Double {
        min(burst, bucket.balance + (now - bucket.since) / .seconds(1) * rate)
    }
}
