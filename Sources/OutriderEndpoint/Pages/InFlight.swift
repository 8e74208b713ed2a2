// SPDX-License-Identifier: Apache-2.0
// The requests in flight, so that a stop can wait for them.

internal import OutriderThreading

/// Counts requests from their headers to their last byte; thread-safe.
final class InFlight: Sendable {
    private struct State: Sendable {
        var count = 0
        var isClosed = false
    }

    private let state = Guarded(State())
    private let drained = Latch()

    /// Whether new requests are refused.
    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Counts a request in; `false` if it has to be refused, in which case it still counts.
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

    /// Refuses new requests, and waits until the last one has its response or the time is up.
    func drain(until deadline: ContinuousClock.Instant, by time: any TimeSource) {
        let isEmpty = state.withLock { state in
            state.isClosed = true
            return state.count == 0
        }
        if !isEmpty { _ = time.wait(for: drained, until: deadline) }
    }
}
