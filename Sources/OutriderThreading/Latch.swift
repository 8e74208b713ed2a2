// SPDX-License-Identifier: Apache-2.0
// Something that happens once, and that any number of threads may wait for.

internal import Dispatch

/// Shut at first, then open for good.
public final class Latch: Sendable {
    private struct State: Sendable {
        var isOpen = false
        var followers: [Latch] = []
    }

    private let semaphore = DispatchSemaphore(value: 0)
    private let state = Guarded(State())

    /// A latch that is shut.
    public init() {}

    /// Opens it; everybody who waits goes on, and nobody waits any more.
    ///
    /// Opening it again does nothing.
    public func open() {
        semaphore.signal()
        let followers = state.withLock { state in
            state.isOpen = true
            defer { state.followers = [] }
            return state.followers
        }
        for follower in followers { follower.open() }
    }

    /// Opens `follower` as soon as this latch is open.
    ///
    /// It is how a thread waits for the first of two things: both open one latch.
    package func openLater(_ follower: Latch) {
        let isOpen = state.withLock { state in
            if !state.isOpen { state.followers.append(follower) }
            return state.isOpen
        }
        if isOpen { follower.open() }
    }

    /// Whether it is open.
    package var isOpen: Bool { state.withLock { $0.isOpen } }

    /// Waits until it is open, at most for `limit` or a day; tells whether it is.
    ///
    /// What was done before ``open()`` is only seen through a ``Guarded`` or an atomic.
    public func wait(for limit: Duration) -> Bool {
        let bounded = min(max(limit, .zero), .seconds(86_400))
        let milliseconds = Int((bounded / .milliseconds(1)).rounded(.up))
        let isOpen = semaphore.wait(timeout: .now() + .milliseconds(milliseconds)) == .success
        // A turnstile: who comes through lets in the next one.
        if isOpen { semaphore.signal() }
        return isOpen
    }
}
