// SPDX-License-Identifier: Apache-2.0
// A lock that tells when somebody has to wait for it.

public import OutriderMetrics
public import Synchronization

/// A value behind a lock that tells how often, and for how long, somebody waited for it.
///
/// ```swift
/// let stock = InstrumentedLock("stock", [String: Int]())
///
/// let left = stock.withLock { $0["book", default: 0] }
/// ```
///
/// Only who has to wait pays for it: two looks at the clock and two additions. Who finds the lock open pays
/// a nanosecond beyond what `Mutex` costs. Not recursive.
public struct InstrumentedLock<Value: ~Copyable>: ~Copyable, Sendable {
    @usableFromInline let mutex: Mutex<Value>
    @usableFromInline let handOver = Atomic<UInt8>(0)
    @usableFromInline let contention: LockContention

    /// Puts `value` behind a new, open lock.
    ///
    /// - Parameters:
    ///   - name: The lock's name; several of one name count together.
    ///   - value: What it guards.
    ///   - registry: Where it is exposed.
    public init(_ name: String, _ value: consuming sending Value, registry: Registry = .shared) {
        mutex = Mutex(value)
        contention = LockContention(name, in: registry)
    }

    /// Runs `body` with the value, while every other caller waits.
    @inlinable
    public borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        if let result = try tryLock(body) { return result }
        let began = contention.begin()
        return try mutex.withLock {
            (value: inout sending Value) throws(Failure) -> sending Result in
            contention.end(began)
            _ = handOver.load(ordering: .acquiring)
            defer { handOver.store(0, ordering: .releasing) }
            return try body(&value)
        }
    }

    @inlinable
    borrowing func tryLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result? {
        try mutex.withLockIfAvailable {
            (value: inout sending Value) throws(Failure) -> sending Result in
            // ORDERING: acquire and release repeat the mutex' order where the thread sanitizer looks.
            _ = handOver.load(ordering: .acquiring)
            defer { handOver.store(0, ordering: .releasing) }
            return try body(&value)
        }
    }
}

/// What a lock counts when somebody has to wait.
@usableFromInline
final class LockContention: Sendable {
    private let contentions: Counter
    private let waits: Counter
    private let uptime: UptimeReader

    init(_ name: String, in registry: Registry) {
        contentions = registry.counter(
            "lock_contentions_total", help: "Times that somebody waited for a lock.",
            labels: ["lock"]
        ).with(name)
        waits = registry.counter(
            "lock_wait_seconds_total", help: "Time that was waited for a lock.", labels: ["lock"]
        ).with(name)
        uptime = registry.uptime
    }

    @usableFromInline
    func begin() -> UInt64 { uptime.nanoseconds }

    @usableFromInline
    func end(_ began: UInt64) {
        let now = uptime.nanoseconds
        contentions.increment()
        waits.increment(by: Double(now - min(now, began)) / 1_000_000_000)
    }
}
