// SPDX-License-Identifier: Apache-2.0
// The state of a circuit breaker, in one atomic word.

internal import Synchronization

/// The current state of a breaker; thread-safe.
final class CurrentState: Sendable {
    private let index = Atomic<Int>(0)

    // ORDERING: relaxed; the word guards no other data.
    var value: CircuitBreakerMetrics.State {
        get { CircuitBreakerMetrics.State.allCases[index.load(ordering: .relaxed)] }
        set {
            let all = CircuitBreakerMetrics.State.allCases
            index.store(all.firstIndex(of: newValue) ?? 0, ordering: .relaxed)
        }
    }
}
