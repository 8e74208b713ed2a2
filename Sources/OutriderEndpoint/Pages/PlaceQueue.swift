// SPDX-License-Identifier: Apache-2.0
// Places for so many requests at one time, given in the order in which they were asked for.
//
// Who waits asks again and again, since it also has to see whether the endpoint stops. Without the
// order, luck would decide who is next, and one of many would wait until it gives up.

internal import OutriderThreading

/// The requests that one page answers, and those that wait for it; thread-safe.
package final class PlaceQueue: Sendable {
    /// Somebody's turn; never used again for somebody else.
    package typealias Ticket = Int

    private struct State: Sendable {
        var taken = 0
        var lastTicket = 0
        /// Who waits, in the order of coming.
        var waiting: [Ticket] = []
    }

    private let limit: Int
    private let state = Guarded(State())

    /// So many places; with none, nobody gets one.
    package init(limit: Int) {
        self.limit = limit
    }

    /// Comes for a place, which is taken when ``take(_:)`` says so.
    package func come() -> Ticket {
        state.withLock { state in
            state.lastTicket += 1
            state.waiting.append(state.lastTicket)
            return state.lastTicket
        }
    }

    /// Takes a place if there is one for all who came earlier, and one more.
    package func take(_ ticket: Ticket) -> Bool {
        state.withLock { state in
            let next = state.waiting.prefix(max(0, limit - state.taken))
            guard let position = next.firstIndex(of: ticket) else { return false }
            state.waiting.remove(at: position)
            state.taken += 1
            return true
        }
    }

    /// Goes without having had a place.
    package func giveUp(_ ticket: Ticket) {
        state.withLock { $0.waiting.removeAll { $0 == ticket } }
    }

    /// Gives a place back.
    package func leave() {
        state.withLock { $0.taken -= 1 }
    }
}
