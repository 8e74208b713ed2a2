// SPDX-License-Identifier: Apache-2.0
// One at a time, in the order in which they came; whoever has waited too long goes ahead.
//
// For work whose memory is to be there once, however many do it. A fork does not wait for it, and a child
// that was forked meanwhile waits once, until its limit.

/// Turns at some work; thread-safe.
package final class Turns: Sendable {
    private struct State: Sendable {
        var isTaken = false
        var waiting: [Latch] = []
    }

    private let state = Guarded(State())

    /// Nobody is at work.
    package init() {}

    /// Callers that wait for their turn.
    package var waiting: Int { state.withLock { $0.waiting.count } }

    /// Runs `body` when all who came before are done, or after the limit.
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
