// SPDX-License-Identifier: Apache-2.0
// A fair lock with a time limit: callers run one at a time, in order of arrival; one that has
// waited too long runs anyway.
//
// For work that should use its memory only once, however many callers there are. fork(2) does not
// wait for it, and a child that was forked during a turn waits once, until its limit.

/// Takes turns at some work; thread-safe.
package final class Turns: Sendable {
    private struct State: Sendable {
        var isTaken = false
        var waiting: [Latch] = []
    }

    private let state = Guarded(State())

    /// Creates an instance without callers.
    package init() {}

    /// The number of callers that wait for their turn.
    package var waiting: Int { state.withLock { $0.waiting.count } }

    /// Runs `body` after all earlier callers, or after the limit.
    package func take<Result>(within limit: Duration, _ body: () -> Result) -> Result {
        let own = state.withLock { state -> Latch? in
            if !state.isTaken {
                state.isTaken = true
                return nil
            }
            let own = Latch()
            state.waiting.append(own)
            return own
        }
        guard let own, !own.wait(for: limit) else {
            defer { pass() }
            return body()
        }
        let isOurs = state.withLock { state in
            guard let index = state.waiting.firstIndex(where: { $0 === own }) else { return true }
            state.waiting.remove(at: index)
            return false
        }
        defer { if isOurs { pass() } }
        return body()
    }

    private func pass() {
        let next = state.withLock { state -> Latch? in
            guard !state.waiting.isEmpty else {
                state.isTaken = false
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.open()
    }
}
