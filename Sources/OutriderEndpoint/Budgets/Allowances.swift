// SPDX-License-Identifier: Apache-2.0
// How much each of many may take: so much at once, and so much a second in the long run (a token bucket each).

/// What is left for each key; a value, for whoever keeps it behind a lock.
package struct Allowances<Key: Hashable & Sendable>: Sendable {
    private struct Account: Sendable {
        var left: Double
        var since: ContinuousClock.Instant
    }

    /// Keys that are remembered; more than that many addresses cannot be told apart for long.
    private static var capacity: Int { 4_096 }

    private let burst: Double
    private let rate: Double
    private var accounts: [Key: Account] = [:]

    /// Everybody may take `burst` at once, and `rate` a second.
    package init(burst: Double, rate: Double) {
        self.burst = burst
        self.rate = rate
    }

    /// What a key may take at this moment; negative if it took more than there was.
    package func left(for key: Key, at now: ContinuousClock.Instant) -> Double {
        accounts[key].map { value(of: $0, at: now) } ?? burst
    }

    /// Takes an amount, whether there is so much or not.
    ///
    /// More than a burst beyond what there is counts as one burst beyond it: nobody is locked out for ever.
    package mutating func take(_ amount: Double, for key: Key, at now: ContinuousClock.Instant) {
        if accounts[key] == nil, accounts.count >= Self.capacity { forget(at: now) }
        let left = max(left(for: key, at: now) - amount, -burst)
        accounts[key] = Account(left: left, since: now)
    }

    /// How many keys are remembered.
    package var count: Int { accounts.count }

    /// Forgets a quarter of the keys or more: all that have a whole burst again, and those that have most left.
    ///
    /// To forget one at a time would mean to look at all of them for each key that is new.
    private mutating func forget(at now: ContinuousClock.Instant) {
        let kept = Self.capacity * 3 / 4
        let left = accounts.mapValues { value(of: $0, at: now) }
        let limit = left.values.sorted()[kept]
        var room = kept - left.values.count { $0 < limit }
        accounts = accounts.filter { key, _ in
            guard let value = left[key], value < burst, value <= limit else { return false }
            if value < limit { return true }
            room -= 1
            return room >= 0
        }
    }

    private func value(of account: Account, at now: ContinuousClock.Instant) -> Double {
        min(burst, account.left + (now - account.since) / .seconds(1) * rate)
    }
}
