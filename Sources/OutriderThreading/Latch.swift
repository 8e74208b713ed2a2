// SPDX-License-Identifier: Apache-2.0
// A one-time event that any number of threads can wait for.

internal import Dispatch

/// A latch: closed at first, then open for good.
public final class Latch: Sendable {
    private struct State: Sendable {
        var isOpen = false
        var followers: [Latch] = []
    }

    private let semaphore = DispatchSemaphore(value: 0)
    private let state = Guarded(State())

    /// Creates a closed latch.
    public init() {}

    /// Opens the latch: all current and later waiters continue.
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
    /// This is how a thread waits for the first of two events: both open one latch.
    package func openLater(_ follower: Latch) {
        let isOpen = state.withLock { state in
            if !state.isOpen { state.followers.append(follower) }
            return state.isOpen
        }
        if isOpen { follower.open() }
    }

    /// Whether it is open.
    package var isOpen: Bool { state.withLock { $0.isOpen } }

    /// Waits until it is open, at most for `limit` or a day; returns whether it is.
    ///
    /// Only a ``Guarded`` or an atomic makes writes before ``open()`` visible.
    public func wait(for limit: Duration) -> Bool {
        let bounded = min(max(limit, .zero), .seconds(86_400))
        let milliseconds = Int((bounded / .milliseconds(1)).rounded(.up))
        let isOpen = semaphore.wait(timeout: .now() + .milliseconds(milliseconds)) == .success
        // A turnstile: each waiter that passes lets the next one in.
        if isOpen { semaphore.signal() }
        return isOpen
    }
}
