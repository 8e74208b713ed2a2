// SPDX-License-Identifier: Apache-2.0
// Scrapes that come together share one render.
//
// Whoever comes while nothing is rendered starts at once. Whoever comes while a render runs waits
// for the next one, together with all others that want the same: what it began before they asked
// could be older than their question. So no scrape shows less than was counted before it came, and
// a crowd of scrapers that want the same costs two renders.
//
//     A ─▶ render 1 ────────▶
//        B ─▶ wait ─────────▶ render 2 ───▶
//           C ─▶ wait with B ─────────────▶ (the same bytes)

internal import OutriderThreading

/// The renders of one registry that are under way; thread-safe.
final class SharedRenders: Sendable {
    /// What two scrapes must agree in to share.
    struct Key: Hashable, Sendable {
        let style: ExpositionStyle
        let isCompressed: Bool
        let names: [String]
        /// Whoever gives collectors more time must not get what was left out for lack of it.
        let limit: Duration
    }

    /// What they share.
    struct Rendered: Sendable {
        let body: [UInt8]
        let isCompressed: Bool
    }

    private final class Flight: Sendable {
        let landed = Latch()
        let result = Guarded<Rendered?>(nil)
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

    /// The result of `render`, or of one that another scrape started after this call.
    ///
    /// Half of the limit may pass in waiting for a render before this one. Who shares one waits for
    /// it to the end: it has the same limit and began earlier.
    ///
    /// - Parameter render: Renders within the limit that it is given.
    func share(_ key: Key, _ render: (Duration) -> Rendered) -> Rendered {
        let start = ContinuousClock.now
        let limit = key.limit
        switch role(for: key) {
        case .lead(let flight):
            return fly(flight, key) { render(limit) }
        case .leadNext(let flight, let previous):
            _ = previous.landed.wait(for: limit / 2)
            state.withLock { state in
                state.waiting -= 1
                state.boarding[key] = nil
                state.running[key] = flight
            }
            return fly(flight, key) { render(limit - (ContinuousClock.now - start)) }
        case .follow(let flight):
            let hasLanded = flight.landed.wait(for: limit)
            state.withLock { $0.waiting -= 1 }
            if hasLanded, let result = flight.result.withLock({ $0 }) { return result }
            return render(limit - (ContinuousClock.now - start))
        }
    }

    /// Scrapes that wait for a render.
    var waiting: Int { state.withLock { $0.waiting } }

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

    private func fly(_ flight: Flight, _ key: Key, _ render: () -> Rendered) -> Rendered {
        let result = render()
        flight.result.withLock { $0 = result }
        state.withLock { state in
            if state.running[key] === flight { state.running[key] = nil }
        }
        flight.landed.open()
        return result
    }
}
