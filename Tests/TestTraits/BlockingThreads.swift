// SPDX-License-Identifier: Apache-2.0
// The threads of blocking tests, and the limit on concurrent ones.

internal import OutriderThreading

/// An executor with a thread for each ready job, so that no job waits for one that blocks.
final class BlockingThreads: TaskExecutor {
    static let shared = BlockingThreads()

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let hasStarted = DetachedThread.start(named: "test-blocking") { [self] in
            // As on Dispatch's threads: stall detection sends SIGPROF to threads that tests start.
            withWorkerSignalsOpen {
                unsafe job.runSynchronously(on: asUnownedTaskExecutor())
            }
        }
        // If no thread is available, the job runs on the calling thread and blocks it.
        if !hasStarted { unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}

/// The permits of blocking tests; a task that waits for one is suspended.
final class Permits: Sendable {
    /// The number of tests that Swift Testing runs at a time; see CTestTraits.
    static let shared = Permits(8)

    private struct State: Sendable {
        var free: Int
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state: Guarded<State>

    init(_ count: Int) { state = Guarded(State(free: count)) }

    /// Takes a permit, in the order of arrival.
    func take() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.free > 0 {
                    state.free -= 1
                    return true
                }
                state.waiting.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    /// Returns a permit, to the task that has waited longest, if any.
    func giveBack() {
        let next = state.withLock { state in
            if state.waiting.isEmpty {
                state.free += 1
                return nil as CheckedContinuation<Void, Never>?
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
