// SPDX-License-Identifier: Apache-2.0
// What the instances of the service share: the second level of the cache, limits, locks, and the news that an
// order has changed. In Redis, or in this process where it is the only one.

/// Thread-safe.
protocol SharedState: Sendable {
    /// What was cached under a key, if it is there.
    func cached(_ key: String) async throws -> String?

    /// Caches something for so many seconds.
    func cache(_ text: String, as key: String, seconds: Int) async throws

    /// Whether a customer may place one more order: at most `limit` within any second.
    func permit(_ customer: String, limit: Int) async throws -> Bool

    /// Takes a lock for a while; tells whether it was free.
    func lock(_ name: String, owner: String, milliseconds: Int) async throws -> Bool

    /// Gives a lock back; tells whether it was still the owner's.
    @discardableResult
    func unlock(_ name: String, owner: String) async throws -> Bool

    /// Drops what is cached under a key, and tells every instance of it.
    func invalidate(_ key: String) async throws
}
