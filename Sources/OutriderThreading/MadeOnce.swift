// SPDX-License-Identifier: Apache-2.0
// A value that takes long to create: the first caller creates it once, without holding a lock.
//
// fork(2) waits for our locks, so none is held for milliseconds.

/// A value that is created at its first use; thread-safe.
package final class MadeOnce<Value: Sendable>: Sendable {
    private struct State: Sendable {
        var isBegun = false
        var value: Value?
    }

    private let state = Guarded(State())
    private let isMade = Latch()

    /// Creates an empty instance.
    package init() {}

    /// Returns the value; the first caller creates it, and all others wait.
    ///
    /// `make` must not use the same instance.
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
