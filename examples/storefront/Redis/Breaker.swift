// SPDX-License-Identifier: Apache-2.0
// A circuit breaker: it stops calls to a failing target for a while.

import OutriderInstruments
import Synchronization

final class Breaker: Sendable {
    /// The breaker is open, so the call was not made.
    struct Open: Error {}

    private enum State {
        case closed(failures: Int)
        case open(until: ContinuousClock.Instant)
        /// One test call is in progress.
        case halfOpen
    }

    private let state = Mutex(State.closed(failures: 0))
    private let failuresToOpen: Int
    private let pause: Duration
    private let metrics: CircuitBreakerMetrics

    /// A breaker that opens after this many failures in a row, and tests again after `pause`.
    init(_ name: String, failuresToOpen: Int, pause: Duration) {
        self.failuresToOpen = failuresToOpen
        self.pause = pause
        metrics = CircuitBreakerMetrics(name)
    }

    /// Makes the call unless the breaker is open; `isFailure` selects the errors that count as
    /// failures.
    func call<Result: Sendable>(
        isFailure: @Sendable (any Error) -> Bool,
        _ body: @Sendable () async throws -> Result
    ) async throws -> Result {
        guard enter() else {
            metrics.rejected()
            throw Open()
        }
        do {
            let result = try await body()
            succeed()
            return result
        } catch {
            if isFailure(error) { fail() } else { succeed() }
            throw error
        }
    }

    private func enter() -> Bool {
        state.withLock { state in
            switch state {
            case .closed: return true
            case .halfOpen: return false
            case .open(let end):
                guard ContinuousClock.now >= end else { return false }
                state = .halfOpen
                metrics.move(to: .halfOpen)
                return true
            }
        }
    }

    private func succeed() {
        metrics.succeeded()
        state.withLock { state in
            switch state {
            case .closed(failures: 0): break
            case .open: break
            case .closed: state = .closed(failures: 0)
            case .halfOpen:
                state = .closed(failures: 0)
                metrics.move(to: .closed)
            }
        }
    }

    private func fail() {
        metrics.failed()
        state.withLock { state in
            switch state {
            case .open: break
            case .closed(let failures) where failures + 1 < failuresToOpen:
                state = .closed(failures: failures + 1)
            case .closed, .halfOpen:
                state = .open(until: .now + pause)
                metrics.move(to: .open)
            }
        }
    }
}
