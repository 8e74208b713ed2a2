// SPDX-License-Identifier: Apache-2.0
// Objects that are kept to be used again: buffers, parsers, encoders.

public import OutriderMetrics

/// A pool of objects that are used again.
///
/// ```swift
/// let metrics = ObjectPoolMetrics("buffers")
///
/// let buffer = metrics.get { pool.popLast() } orMake: { Buffer() }
/// ```
///
/// A get is an increment, some two nanoseconds. Thread-safe.
public final class ObjectPoolMetrics: Sendable {
    @usableFromInline let reuses: Counter
    @usableFromInline let creations: Counter

    /// The metrics of a pool.
    ///
    /// - Parameters:
    ///   - pool: The pool's name.
    ///   - registry: Where they are exposed.
    public init(_ pool: String, registry: Registry = .shared) {
        let gets = registry.counter(
            "object_pool_gets_total", help: "Objects taken from a pool: reused, or new.",
            labels: ["pool", "result"])
        reuses = gets.with(pool, "reused")
        creations = gets.with(pool, "new")
    }

    /// An object was used again.
    public func reused() { reuses.increment() }

    /// An object had to be made.
    public func made() { creations.increment() }

    /// An object of the pool by `find`, or else a new one, and counts which it was.
    ///
    /// Counts nothing if `make` throws: there is no object then.
    @inlinable
    public func get<Object, Failure: Error>(
        _ find: () throws(Failure) -> Object?, orMake make: () throws(Failure) -> Object
    ) throws(Failure) -> Object {
        if let found = try find() {
            reuses.increment()
            return found
        }
        let made = try make()
        creations.increment()
        return made
    }
}
