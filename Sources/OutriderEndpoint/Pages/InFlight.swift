// SPDX-License-Identifier: Apache-2.0
// The requests that are being answered, so that a stop can wait for them.

internal import OutriderThreading

/// Counts requests from their headers to their last byte; thread-safe.
final class InFlight: Sendable {
    private struct State: Sendable {
        var count = 0
        var isClosed = false
    }

    private let state = Guarded(State())
    private let drained = Latch()

    /// Whether no more are taken.
    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Counts a request in; `false` if no more are taken, in which case it is counted all the same.
    func enter() -> Bool {
        state.withLock { state in
            state.count += 1
            return !state.isClosed
        }
    }

    /// Counts a request out.
    func leave() {
        let isLast = state.withLock { state in
            state.count -= 1
            return state.isClosed && state.count == 0
        }
        if isLast { drained.open() }
    }

    /// Takes no more requests, and waits until the last one is answered or time is up.
    func drain(until deadline: ContinuousClock.Instant, by time: any TimeSource) {
        let isEmpty = state.withLock { state in
            state.isClosed = true
            return state.count == 0
        }
        if !isEmpty { _ = time.wait(for: drained, until: deadline) }
    }
}
