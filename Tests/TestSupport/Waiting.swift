// SPDX-License-Identifier: Apache-2.0
// Waiting for a condition, with a limit that only broken code exceeds.
//
// A check may take a lock or a core that the awaited code needs, so there is a pause between
// checks.

internal import Glibc

/// The pauses between checks: a millisecond at first, growing to ten.
private struct Pauses {
    private(set) var next: Duration = .milliseconds(1)

    mutating func grow() { next = min(next * 1.5, .milliseconds(10)) }
}

/// Checks repeatedly until `condition` holds or the time is up; returns whether it holds.
///
/// Blocks its thread. Asynchronous code calls ``holdsEventually(within:_:)``.
public func eventually(
    within seconds: Int = 120, _ condition: () throws -> Bool
) rethrows -> Bool {
    let limit = ContinuousClock.now + .seconds(seconds)
    var pauses = Pauses()
    while try !condition() {
        if ContinuousClock.now >= limit { return false }
        usleep(UInt32(pauses.next / .microseconds(1)))
        pauses.grow()
    }
    return true
}

/// Does the same for asynchronous code: its task sleeps between checks, which frees the thread.
///
/// - Throws: The error of `condition`, or the cancellation of the task.
public nonisolated(nonsending) func holdsEventually(
    within seconds: Int = 120, _ condition: () throws -> Bool
) async throws -> Bool {
    let limit = ContinuousClock.now + .seconds(seconds)
    var pauses = Pauses()
    while try !condition() {
        if ContinuousClock.now >= limit { return false }
        try await Task.sleep(for: pauses.next)
        pauses.grow()
    }
    return true
}
