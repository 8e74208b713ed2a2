// SPDX-License-Identifier: Apache-2.0
// A fair semaphore with a bounded queue, the base of connection pools and worker pools.

import Synchronization

/// A thread-safe semaphore whose waiters get permits in order of arrival.
final class Permits: Sendable {
    /// Too many callers are waiting.
    struct Full: Error {}
    /// No permit was free in time.
    struct TimedOut: Error {}

    private struct Waiter {
        let number: UInt64
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var free: Int
        /// In order of arrival; waiters that gave up are removed.
        var waiting: [Waiter] = []
    }

    let count: Int
    private let mayWait: Int
    private let state: Mutex<State>
    private let numbers = Atomic<UInt64>(0)

    init(_ count: Int, mayWait: Int = .max) {
        self.count = count
        self.mayWait = mayWait
        state = Mutex(State(free: count))
    }

    /// Permits in use, and callers that wait.
    var taken: (inUse: Int, waiting: Int) {
        state.withLock { (count - $0.free, $0.waiting.count) }
    }

    /// Acquires a permit; throws if too many callers wait, or if it takes longer than `limit`.
    func acquire(within limit: Duration? = nil) async throws {
        if takeFree() { return }
        let number = numbers.wrappingAdd(1, ordering: .relaxed).newValue
        var timer: Task<Void, any Error>?
        defer { timer?.cancel() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { waiter in
                wait(number, waiter)
                // Started after the waiter is queued; before that there is nothing to remove.
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

    /// Releases a permit.
    func release() {
        let next = state.withLock { state in
            if state.waiting.isEmpty {
                state.free += 1
                return nil as Waiter?
            }
            return state.waiting.removeFirst()
        }
        next?.continuation.resume()
    }

    private func takeFree() -> Bool {
        state.withLock { state in
            if state.free == 0 { return false }
            state.free -= 1
            return true
        }
    }

    private func wait(_ number: UInt64, _ continuation: CheckedContinuation<Void, any Error>) {
        let result: Result<Void, any Error>? = state.withLock { state in
            // A permit may have become free since.
            if state.free > 0 {
                state.free -= 1
                return .success(())
            }
            if state.waiting.count >= mayWait { return .failure(Full()) }
            state.waiting.append(Waiter(number: number, continuation: continuation))
            return nil
        }
        if let result { return continuation.resume(with: result) }
        // The task may have been cancelled before the waiter was queued.
        if Task.isCancelled { leave(number, CancellationError()) }
    }

    private func leave(_ number: UInt64, _ error: any Error) {
        let gone = state.withLock { state in
            state.waiting.firstIndex { $0.number == number }.map { state.waiting.remove(at: $0) }
        }
        gone?.continuation.resume(throwing: error)
    }
}
