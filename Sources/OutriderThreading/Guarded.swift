// SPDX-License-Identifier: Apache-2.0
// A value behind a mutex, in a form that the thread sanitizer can follow.
//
// `Synchronization.Mutex` takes its contended path inside an uninstrumented library, so the
// sanitizer misses that one holder follows another and reports races that are none. One inlined
// load and store per turn make the order visible to it; they cost less than a nanosecond.
//
// A forked child finds every lock open, and every value whole: a fork waits while one is held.

internal import COutriderFork
public import Synchronization

/// A value that only one thread at a time can reach.
///
/// Meant for what is rare: registration, start and stop. Nothing that records a measurement
/// waits here. Public, since only public code is inlined into other modules; no product offers
/// this one, so it is not part of the API.
public struct Guarded<Value: Sendable>: ~Copyable, Sendable {
    @usableFromInline let mutex: Mutex<Value>
    @usableFromInline let handOver = Atomic<UInt8>(0)

    /// Puts `value` behind a new, open lock.
    public init(_ value: sending Value) {
        mutex = Mutex(value)
    }

    /// Runs `body` with the value, while every other caller waits.
    ///
    /// The lock is not recursive: `body` must not come back to the same `Guarded`.
    @inlinable
    public borrowing func withLock<Result, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        holdForks()
        defer { allowForks() }
        return try mutex.withLock { (value: inout Value) throws(Failure) -> Result in
            // ORDERING: acquire and release pair up from one holder to the next. The mutex gives
            // the same order already; this pair only repeats it where the sanitizer looks.
            _ = handOver.load(ordering: .acquiring)
            defer { handOver.store(0, ordering: .releasing) }
            return try body(&value)
        }
    }
}

/// Has a fork(2) wait until ``allowForks()``.
@usableFromInline
func holdForks() { outrider_fork_hold() }

@usableFromInline
func allowForks() { outrider_fork_allow() }
