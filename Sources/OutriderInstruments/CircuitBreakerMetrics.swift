// SPDX-License-Identifier: Apache-2.0
// Metrics of a circuit breaker.

public import OutriderMetrics
internal import OutriderThreading

/// Metrics of a circuit breaker and of the calls through it.
///
/// ```swift
/// let metrics = CircuitBreakerMetrics("payments")
///
/// guard breaker.allows else { metrics.rejected(); throw Unavailable() }
/// let receipt = try await metrics.call { try await payments.charge(order) }
/// metrics.move(to: breaker.isOpen ? .open : .closed)
/// ```
///
/// A call that its caller cancels is neither a success nor a failure: it counts as `cancelled`. A
/// timeout that should count as a failure belongs inside the closure, so that the closure throws
/// it. Thread-safe; after two concurrent moves the state is that of either, never both.
public final class CircuitBreakerMetrics: Sendable {
    /// The state of a breaker.
    public enum State: String, CaseIterable, Sendable {
        /// Calls go through.
        case closed
        /// Calls are rejected.
        case open
        /// A few calls go through, to test whether the target has recovered.
        case halfOpen = "half_open"
    }

    private static let states = CollectedFamily.gauge(
        "circuit_breaker_state", help: "1 for the current state of the breaker, 0 for the others.",
        labels: ["breaker", "state"])

    private let successes: Counter
    private let failures: Counter
    private let cancellations: Counter
    private let rejections: Counter
    private let state: CurrentState
    private let registration: SnapshotBoard.Registration

    /// Creates the metrics of a breaker, initially closed.
    ///
    /// - Parameters:
    ///   - breaker: The breaker's name.
    ///   - registry: The registry for the metrics.
    public init(_ breaker: String, registry: Registry = .shared) {
        let calls = registry.counter(
            "circuit_breaker_calls_total", help: "Calls through the breaker, by result.",
            labels: ["breaker", "result"])
        successes = calls.with(breaker, "success")
        failures = calls.with(breaker, "failure")
        cancellations = calls.with(breaker, "cancelled")
        rejections = calls.with(breaker, "rejected")
        let state = CurrentState()
        self.state = state
        registration = SnapshotBoard.named("circuit_breakers", [Self.states], in: registry).add {
            samples in
            let now = state.value
            for one in State.allCases {
                samples.add(Self.states, one == now ? 1 : 0, breaker, one.rawValue)
            }
        }
    }

    /// Sets the state of the breaker.
    public func move(to state: State) { self.state.value = state }

    /// Runs `body`, and counts a success, or a failure if it throws.
    ///
    /// An error in a cancelled task, and any `CancellationError`, counts as `cancelled`.
    nonisolated(nonsending)
        public func call<Result, Failure: Error>(
            _ body: nonisolated(nonsending) () async throws(Failure) -> Result
        ) async throws(Failure) -> Result
    {
        do {
            let result = try await body()
            successes.increment()
            return result
        } catch {
            (isCancellation(error) ? cancellations : failures).increment()
            throw error
        }
    }

    /// Counts a successful call.
    public func succeeded() { successes.increment() }

    /// Counts a failed call.
    public func failed() { failures.increment() }

    /// Counts a call that its caller cancelled; not a failure of the target.
    public func cancelled() { cancellations.increment() }

    /// Counts a call that was rejected because the breaker is open.
    public func rejected() { rejections.increment() }
}
