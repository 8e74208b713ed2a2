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
    private final class Flight: Sendable {
        let landed = Latch()
        let result = Guarded<Result?>(nil)
    }

    private struct State: Sendable {
        var running: [Key: Flight] = [:]
        var boarding: [Key: Flight] = [:]
        var waiting = 0
    }

    private enum Role {
        case lead(Flight)
        case leadNext(Flight, after: Flight)
        case follow(Flight)
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
        case .lead(let flight):
            return fly(flight, key) { run(limit) }
        case .leadNext(let flight, let previous):
            _ = previous.landed.wait(for: limit / 2)
            state.withLock { state in
                state.waiting -= 1
                state.boarding[key] = nil
                state.running[key] = flight
            }
            return fly(flight, key) { run(limit - (ContinuousClock.now - start)) }
        case .follow(let flight):
            let hasLanded = flight.landed.wait(for: limit)
            state.withLock { $0.waiting -= 1 }
            if hasLanded, let result = flight.result.withLock({ $0 }) { return result }
            return run(limit - (ContinuousClock.now - start))
        }
    }

    /// The number of callers that wait for a run.
    public var waiting: Int { state.withLock { $0.waiting } }

    private func role(for key: Key) -> Role {
        state.withLock { state in
            guard let running = state.running[key] else {
                let flight = Flight()
                state.running[key] = flight
                return .lead(flight)
            }
            state.waiting += 1
            if let boarding = state.boarding[key] { return .follow(boarding) }
            let flight = Flight()
            state.boarding[key] = flight
            return .leadNext(flight, after: running)
        }
    }

    private func fly(_ flight: Flight, _ key: Key, _ run: () -> Result) -> Result {
        let result = run()
        flight.result.withLock { $0 = result }
        state.withLock { state in
            if state.running[key] === flight { state.running[key] = nil }
        }
        flight.landed.open()
        return result
    }
}
