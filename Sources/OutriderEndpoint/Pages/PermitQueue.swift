// SPDX-License-Identifier: Apache-2.0
// A fair semaphore: permits for a number of concurrent requests, granted in order of arrival.
//
// A waiting request polls, because it also has to check whether the endpoint stops. Without the
// order, one of many could wait by chance until it gives up.

internal import OutriderThreading

/// The requests that one page is serving, and those that wait for it; thread-safe.
package final class PermitQueue: Sendable {
    /// A position in the queue; never reused.
    package typealias Ticket = Int

    private struct State: Sendable {
        var taken = 0
        var lastTicket = 0
        /// Waiting tickets in order of arrival.
        var waiting: [Ticket] = []
    }

    private let limit: Int
    private let state = Guarded(State())

    /// A queue with this many permits.
    package init(limit: Int) {
        self.limit = limit
    }

    /// Joins the queue; ``acquire(_:)`` then acquires a permit.
    package func join() -> Ticket {
        state.withLock { state in
            state.lastTicket += 1
            state.waiting.append(state.lastTicket)
            return state.lastTicket
        }
    }

    /// Acquires a permit if there are enough for all earlier tickets and this one.
    package func acquire(_ ticket: Ticket) -> Bool {
        state.withLock { state in
            let next = state.waiting.prefix(max(0, limit - state.taken))
            guard let position = next.firstIndex(of: ticket) else { return false }
            state.waiting.remove(at: position)
            state.taken += 1
            return true
        }
    }

    /// Leaves the queue without a permit.
    package func cancel(_ ticket: Ticket) {
        state.withLock { $0.waiting.removeAll { $0 == ticket } }
    }

    /// Releases a permit.
    package func release() {
        state.withLock { $0.taken -= 1 }
    }
}
