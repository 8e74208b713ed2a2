// SPDX-License-Identifier: Apache-2.0
// Reading and waiting for time, behind a protocol, so that a test can control the clock.

#if canImport(Glibc)
    package import Glibc
#elseif canImport(Musl)
    package import Musl
#else
    package import Darwin
#endif

/// A clock that code with a deadline reads and waits on.
///
/// It is ``SystemTime`` unless a test passes another one. Code with a deadline reads no other clock
/// and waits in no other way; otherwise its test would have to wait in real time.
package protocol TimeSource: Sendable {
    /// The current time.
    var now: ContinuousClock.Instant { get }

    /// Waits until `latch` is open, until `moment` at the latest; returns whether it is open.
    ///
    /// It waits a day at most.
    func wait(for latch: Latch, until moment: ContinuousClock.Instant) -> Bool

    /// Calls poll(2), which waits until `moment` at the latest.
    ///
    /// - Returns: How many descriptors have events. 0 also means that a signal ended the call, so
    ///   the caller reads the time again. -1 means that the call failed.
    func poll(_ descriptors: inout [pollfd], until moment: ContinuousClock.Instant) -> Int32
}

/// The system's clock and the system's ways to wait.
package struct SystemTime: TimeSource {
    /// The system's time.
    package init() {}

    package var now: ContinuousClock.Instant { .now }

    package func wait(for latch: Latch, until moment: ContinuousClock.Instant) -> Bool {
        latch.wait(for: moment - .now)
    }

    package func poll(
        _ descriptors: inout [pollfd], until moment: ContinuousClock.Instant
    ) -> Int32 {
        let left = max(.zero, moment - .now)
        let milliseconds = Int64((left / .milliseconds(1)).rounded(.up))
        return callPoll(&descriptors, Int32(clamping: milliseconds))
    }
}

/// Calls poll(2), without a limit if `milliseconds` is negative.
///
/// Returns 0 if a signal ends the call.
package func callPoll(_ descriptors: inout [pollfd], _ milliseconds: Int32) -> Int32 {
    let found = unsafe poll(&descriptors, nfds_t(descriptors.count), milliseconds)
    return found < 0 && errno == EINTR ? 0 : found
}
