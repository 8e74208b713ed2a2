// SPDX-License-Identifier: Apache-2.0
// Waiting for a fact, with a limit that only a broken product meets.
//
// A look may take a lock or a core that what is waited for needs. So there is a pause between
// two looks.

internal import Glibc

/// The pauses between two looks: a millisecond at first, ten in the end.
private struct Pauses {
    private(set) var next: Duration = .milliseconds(1)

    mutating func grow() { next = min(next * 1.5, .milliseconds(10)) }
}

/// Looks again and again until `condition` holds or time is up; tells whether it held.
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

/// Does the same for asynchronous code: its task sleeps between two looks, and its thread is free.
///
/// - Throws: What `condition` throws, or that the task was cancelled.
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
