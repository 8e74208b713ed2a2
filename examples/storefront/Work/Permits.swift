// SPDX-License-Identifier: Apache-2.0
// A number of places, and a queue of those who wait for one. Pools of connections and of workers stand on it.

import Synchronization

/// Thread-safe; whoever waits gets a place in the order of arrival.
final class Permits: Sendable {
    /// Nobody may wait any more: too many do.
    struct Full: Error {}
    /// No place came free in time.
    struct TimedOut: Error {}

    private struct State {
        var free: Int
        /// Who waits, by number; those who left are not there any more.
        var waiting: [UInt64: CheckedContinuation<Void, any Error>] = [:]
        var first: UInt64 = 0
        var next: UInt64 = 0

        /// The one who came first.
        mutating func popFirst() -> CheckedContinuation<Void, any Error>? {
            while first < next {
                first += 1
                if let waiter = waiting.removeValue(forKey: first - 1) { return waiter }
            }
            return nil
        }
    }

    let count: Int
    private let mayWait: Int
    private let state: Mutex<State>

    init(_ count: Int, mayWait: Int = .max) {
        self.count = count
        self.mayWait = mayWait
        state = Mutex(State(free: count))
    }

    /// Places that are taken, and those who wait.
    var taken: (inUse: Int, waiting: Int) {
        state.withLock { (count - $0.free, $0.waiting.count) }
    }

    /// Takes a place, sooner or later; throws if too many wait, or if it takes longer than `limit`.
    func acquire(within limit: Duration? = nil) async throws {
        let number = state.withLock { state in
            if state.free > 0 {
                state.free -= 1
                return UInt64.max
            }
            state.next += 1
            return state.next - 1
        }
        if number == .max { return }
        var timer: Task<Void, any Error>?
        defer { timer?.cancel() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { waiter in
                wait(number, waiter)
                // After it stands in the queue: there is nobody to send away before.
                timer = limit.map { limit in
                    Task {
                        try await Task.sleep(for: limit)
                        leave(number, TimedOut())
                    }
                }
            }
        } onCancel: {
            leave(number, CancellationError())
        }
    }

    /// Gives a place back.
    func release() {
        let next = state.withLock { state in
            let next = state.popFirst()
            if next == nil { state.free += 1 }
            return next
        }
        next?.resume()
    }

    private func wait(_ number: UInt64, _ waiter: CheckedContinuation<Void, any Error>) {
        let result: Result<Void, any Error>? = state.withLock { state in
            // A place may have come free since the number was drawn.
            if state.free > 0 {
                state.free -= 1
                return .success(())
            }
            if state.waiting.count >= mayWait { return .failure(Full()) }
            if number < state.first {
                // Passed over before it stood in the queue: it is the first of all.
                state.first = number
            }
            state.waiting[number] = waiter
            return nil
        }
        if let result { return waiter.resume(with: result) }
        // The cancellation may have come before there was anybody to cancel.
        if Task.isCancelled { leave(number, CancellationError()) }
    }

    private func leave(_ number: UInt64, _ error: any Error) {
        state.withLock { $0.waiting.removeValue(forKey: number) }?.resume(throwing: error)
    }
}
