// SPDX-License-Identifier: Apache-2.0
// A value that takes long to make: made once, by the first who asks, without a lock held meanwhile.
//
// A fork waits for our locks, so none is held for milliseconds.

/// A value that is made when it is first asked for; thread-safe.
package final class MadeOnce<Value: Sendable>: Sendable {
    private struct State: Sendable {
        var isBegun = false
        var value: Value?
    }

    private let state = Guarded(State())
    private let isMade = Latch()

    /// Nothing is made yet.
    package init() {}

    /// The value, which the first caller makes; all others wait until it has.
    ///
    /// `make` must not come back to the same value.
    package func value(_ make: () -> Value) -> Value {
        let isFirst = state.withLock { state in
            defer { state.isBegun = true }
            return !state.isBegun
        }
        if isFirst {
            let value = make()
            state.withLock { $0.value = value }
            isMade.open()
            return value
        }
        while true {
            if let value = state.withLock({ $0.value }) { return value }
            _ = isMade.wait(for: .seconds(3_600))
        }
    }
}
