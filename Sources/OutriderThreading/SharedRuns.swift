// SPDX-License-Identifier: Apache-2.0
// Concurrent callers with the same key share one run.
//
// A caller that finds no run starts one at once. A caller that finds a run waits for the next one,
// together with all others of the same key: the current run started earlier, so its result could be
// older than the call. So no result is older than its call, and a crowd with the same key costs two
// runs.
//
//     A ─▶ run 1 ───────────▶
//        B ─▶ wait ─────────▶ run 2 ──────▶
//           C ─▶ wait with B ─────────────▶ (the same result)

/// The runs in progress; thread-safe.
///
/// Two callers share a run if they have equal keys.
public final class SharedRuns<Key: Hashable & Sendable, Result: Sendable>: Sendable {
    private final class SharedRun: Sendable {
        let finished = Latch()
        let result = Guarded<Result?>(nil)
    }

    private struct State: Sendable {
        var running: [Key: SharedRun] = [:]
        var next: [Key: SharedRun] = [:]
        var waiting = 0
    }

    private enum Role {
        case lead(SharedRun)
        case leadNext(SharedRun, after: SharedRun)
        case follow(SharedRun)
    }

    private let state = Guarded(State())

    /// Creates an instance without runs.
    public init() {}

    /// Returns the result of `run`, or of a run that another caller started after this call.
    ///
    /// Up to half of the limit may pass in waiting for the previous run. A caller that shares a run
    /// waits for it to the end: that run has the same limit and began earlier.
    ///
    /// - Parameters:
    ///   - limit: The limit for the whole call; part of the key, or the same for all callers.
    ///   - run: Does the work within the limit that it receives.
    public func share(
        _ key: Key, within limit: Duration, _ run: (Duration) -> Result
    ) -> Result {
        let start = ContinuousClock.now
        switch role(for: key) {
        case .lead(let shared):
            return perform(shared, key) { run(limit) }
        case .leadNext(let shared, let previous):
            _ = previous.finished.wait(for: limit / 2)
            state.withLock { state in
                state.waiting -= 1
                state.next[key] = nil
                state.running[key] = shared
            }
            return perform(shared, key) { run(limit - (ContinuousClock.now - start)) }
        case .follow(let shared):
            let hasFinished = shared.finished.wait(for: limit)
            state.withLock { $0.waiting -= 1 }
            if hasFinished, let result = shared.result.withLock({ $0 }) { return result }
            return run(limit - (ContinuousClock.now - start))
        }
    }

    /// The number of callers that wait for a run.
    public var waiting: Int { state.withLock { $0.waiting } }

    private func role(for key: Key) -> Role {
        state.withLock { state in
            guard let running = state.running[key] else {
                let shared = SharedRun()
                state.running[key] = shared
                return .lead(shared)
            }
            state.waiting += 1
            if let next = state.next[key] { return .follow(next) }
            let shared = SharedRun()
            state.next[key] = shared
            return .leadNext(shared, after: running)
        }
    }

    private func perform(_ shared: SharedRun, _ key: Key, _ run: () -> Result) -> Result {
        let result = run()
        shared.result.withLock { $0 = result }
        state.withLock { state in
            if state.running[key] === shared { state.running[key] = nil }
        }
        shared.finished.open()
        return result
    }
}
