// SPDX-License-Identifier: Apache-2.0
// State that the instances of the service share: the second cache level, limits, locks, and
// notifications of changed orders. In Redis, or in this process if it is the only instance.

/// The shared state of all instances; thread-safe.
protocol SharedState: Sendable {
    /// The text cached under a key; nil if there is none.
    func cached(_ key: String) async throws -> String?

    /// Caches a text for this many seconds.
    func cache(_ text: String, as key: String, seconds: Int) async throws

    /// Whether a customer may place one more order: at most `limit` within any second.
    func permit(_ customer: String, limit: Int) async throws -> Bool

    /// Takes a lock for a while; returns whether it was free.
    func lock(_ name: String, owner: String, milliseconds: Int) async throws -> Bool

    /// Releases a lock; returns whether the owner still held it.
    @discardableResult
    func unlock(_ name: String, owner: String) async throws -> Bool

    /// Removes a key from the cache, and notifies every instance.
    func invalidate(_ key: String) async throws
}
