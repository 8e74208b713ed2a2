// SPDX-License-Identifier: Apache-2.0
// Callers who come together share one result.
//
// Whoever comes while nothing runs starts at once. Whoever comes while a run goes on waits for the next
// one, together with all others that want the same: what it began before they asked could be older
// than their question. So no answer shows less than there was before its question, and a crowd that wants the
// same costs two runs.
//
//     A ─▶ run 1 ───────────▶
//        B ─▶ wait ─────────▶ run 2 ──────▶
//           C ─▶ wait with B ─────────────▶ (the same result)

/// The runs that are under way; thread-safe.
///
/// Two callers share if they have equal keys.
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

    /// Nothing runs yet.
    public init() {}

    /// The result of `run`, or of one that another caller started after this call.
    ///
    /// Half of the limit may pass in waiting for a run before this one. Who shares one waits for it
    /// to the end: it has the same limit and began earlier.
    ///
    /// - Parameters:
    ///   - limit: How long all of it may take; a part of the key, or the same for all.
    ///   - run: Does the work within the limit that it is given.
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

    /// Callers that wait for a run.
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
