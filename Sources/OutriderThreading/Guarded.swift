// SPDX-License-Identifier: Apache-2.0
// A value behind a mutex, in a form that the thread sanitizer can follow.
//
// `Synchronization.Mutex` takes its contended path inside an uninstrumented library, so the
// sanitizer misses that one holder follows another and reports false races. One inlined load and
// store for each use make the order visible to it; they cost less than a nanosecond.
//
// In a forked child every lock is open and every value is consistent: fork(2) waits while a lock is
// held.

internal import COutriderFork
public import Synchronization

/// A value that only one thread at a time can access.
///
/// For rare operations: registration, start and stop. No code that records a measurement waits
/// here. Public because only public code is inlined into other modules; no product exports this
/// module, so it is not part of the API.
public struct Guarded<Value: Sendable>: ~Copyable, Sendable {
    @usableFromInline let mutex: Mutex<Value>
    @usableFromInline let handOver = Atomic<UInt8>(0)

    /// Puts `value` behind a new, open lock.
    public init(_ value: sending Value) {
        mutex = Mutex(value)
    }

    /// Runs `body` with the value, while every other caller waits.
    ///
    /// The lock is not recursive: `body` must not use the same `Guarded`.
    @inlinable
    public borrowing func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        holdForks()
        defer { allowForks() }
        return try mutex.withLock { (value: inout Value) throws(Failure) -> Result in
            // ORDERING: acquire and release pair up from one holder to the next. The mutex already
            // gives this order; the pair only repeats it where the sanitizer sees it.
            _ = handOver.load(ordering: .acquiring)
            defer { handOver.store(0, ordering: .releasing) }
            return try body(&value)
        }
    }
}

/// Delays fork(2) until ``allowForks()``.
@usableFromInline
func holdForks() { outrider_fork_hold() }

@usableFromInline
func allowForks() { outrider_fork_allow() }
