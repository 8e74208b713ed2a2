// SPDX-License-Identifier: Apache-2.0
// A worker pool with a deadline, after which callers get an error.

import OutriderInstruments
import Synchronization

final class WorkerPool: Sendable {
    /// Too much work is waiting.
    struct Full: Error {}
    /// The work did not finish in time.
    struct DeadlineExceeded: Error {}

    private let permits: Permits
    private let deadline: Duration
    private let metrics: WorkQueueMetrics

    /// A pool of `workers`, with a queue of `capacity` requests.
    init(_ name: String, workers: Int, capacity: Int, deadline: Duration) {
        permits = Permits(workers, mayWait: capacity)
        self.deadline = deadline
        metrics = WorkQueueMetrics(name, capacity: capacity)
    }

    /// Runs `work` when a worker is free, and returns its result, unless the deadline comes first.
    ///
    /// Work that runs at the deadline is cancelled; its worker is free when the work ends. Throws
    /// ``Full``, ``DeadlineExceeded``, or the error of `work`.
    func run<Result: Sendable>(
        _ work: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let answer = FirstAnswer<Result>()
        let task = Task {
            let ticket = metrics.enqueued()
            do {
                try await permits.acquire()
            } catch {
                ticket.discard()
                answer.give(.failure(error is Permits.Full ? Full() : error))
                return
            }
            defer { permits.release() }
            do {
                answer.give(.success(try await ticket.run(work)))
            } catch {
                answer.give(.failure(error))
            }
        }
        let timer = Task {
            try await Task.sleep(for: deadline)
            if answer.give(.failure(DeadlineExceeded())) {
                metrics.deadlineExceeded()
                task.cancel()
            }
        }
        defer { timer.cancel() }
        return try await answer.value
    }
}

/// The first of several results.
private final class FirstAnswer<Value: Sendable>: Sendable {
    private enum State {
        case open
        case awaited(CheckedContinuation<Value, any Error>)
        case given(Result<Value, any Error>)
        case over
    }

    private let state = Mutex(State.open)

    /// The result; only one task may wait for it.
    var value: Value {
        get async throws {
            try await withCheckedThrowingContinuation { continuation in
                let given: Result<Value, any Error>? = state.withLock { state in
                    if case .given(let result) = state {
                        state = .over
                        return result
                    }
                    state = .awaited(continuation)
                    return nil
                }
                if let given { continuation.resume(with: given) }
            }
        }
    }

    /// Sets the result; returns whether it was the first.
    @discardableResult
    func give(_ result: Result<Value, any Error>) -> Bool {
        var awaiting: CheckedContinuation<Value, any Error>?
        let isFirst = state.withLock { state in
            switch state {
            case .open:
                state = .given(result)
                return true
            case .awaited(let continuation):
                awaiting = continuation
                state = .over
                return true
            case .given, .over:
                return false
            }
        }
        awaiting?.resume(with: result)
        return isFirst
    }
}
