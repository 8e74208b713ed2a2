// SPDX-License-Identifier: Apache-2.0
// The threads of tests that block, and how many of those tests run at a time.

internal import OutriderThreading

/// An executor that has a thread for each job that is ready, so that no job waits for one that blocks.
final class BlockingThreads: TaskExecutor {
    static let shared = BlockingThreads()

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let hasStarted = DetachedThread.start(named: "test-blocking") { [self] in
            // As on Dispatch's threads: the hang watch sends SIGPROF to threads that tests start.
            withWorkerSignalsOpen {
                unsafe job.runSynchronously(on: asUnownedTaskExecutor())
            }
        }
        // Without a thread to be had it blocks whoever hands it over, and is run all the same.
        if !hasStarted { unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
    }
}

/// Permits of tests that want to block; who waits for one is suspended.
final class Permits: Sendable {
    /// More tests at a time would only slow each other down.
    static let shared = Permits(4)

    private struct State: Sendable {
        var free: Int
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state: Guarded<State>

    init(_ count: Int) { state = Guarded(State(free: count)) }

    /// Takes one, in the order in which callers come.
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

    /// Gives one back, to the caller that has waited longest if there is any.
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
