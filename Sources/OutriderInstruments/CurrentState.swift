// SPDX-License-Identifier: Apache-2.0
// The state of a breaker, in one word.

internal import Synchronization

/// The state that a breaker is in; thread-safe.
final class CurrentState: Sendable {
    private let index = Atomic<Int>(0)

    // ORDERING: relaxed; one word that guards no other.
    var value: CircuitBreakerMetrics.State {
        get { CircuitBreakerMetrics.State.allCases[index.load(ordering: .relaxed)] }
        set {
            let all = CircuitBreakerMetrics.State.allCases
            index.store(all.firstIndex(of: newValue) ?? 0, ordering: .relaxed)
        }
    }
}
