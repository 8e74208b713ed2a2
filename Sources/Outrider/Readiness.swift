// SPDX-License-Identifier: Apache-2.0
// Whether the service wants traffic, and the two pages that tell it.

internal import OutriderEndpoint
internal import OutriderLocking

/// What an agent knows about the service's readiness; thread-safe.
final class Readiness: Sendable {
    /// Where the service stands.
    enum Phase: String, Sendable { case starting, ready, draining }

    private struct State: Sendable {
        var phase: Phase
        var checks: [(name: String, isPassing: @Sendable () -> Bool)] = []
    }

    private let state: Guarded<State>

    init(_ phase: Phase) {
        state = Guarded(State(phase: phase))
    }

    /// Moves on; draining is for good.
    func move(to phase: Phase) {
        state.withLock { state in
            if state.phase != .draining { state.phase = phase }
        }
    }

    /// Asks `isPassing` whenever somebody asks for readiness; one of the same name is replaced.
    func addCheck(_ name: String, _ isPassing: @escaping @Sendable () -> Bool) {
        state.withLock { state in
            state.checks.removeAll { $0.name == name }
            state.checks.append((name, isPassing))
        }
    }

    /// Why the service wants no traffic; empty if it does.
    func obstacles() -> [String] {
        let state = self.state.withLock { $0 }
        if state.phase != .ready { return [state.phase.rawValue] }
        // Outside the lock: a check is the service's own code and may take its time.
        return state.checks.filter { !$0.isPassing() }.map { "failing: \($0.name)" }
    }
}

/// `/healthz`: the process is alive, since it answers.
struct HealthPage: Page {
    let path = "/healthz"
    let aliases = ["/-/healthy"]
    let summary = "200 while the process is alive"

    func respond(to request: Request) -> Response {
        .uncached("alive\n", status: 200)
    }
}

/// `/readyz`: whether the service wants traffic.
struct ReadinessPage: Page {
    let path = "/readyz"
    let aliases = ["/-/ready"]
    let summary =
        "200 while the service wants traffic, 503 while it starts, drains or fails a check"
    let readiness: Readiness

    func respond(to request: Request) -> Response {
        let obstacles = readiness.obstacles()
        if obstacles.isEmpty { return .uncached("ready\n", status: 200) }
        return .uncached(obstacles.joined(separator: "\n") + "\n", status: 503)
    }
}

extension Response {
    fileprivate static func uncached(_ text: String, status: Int) -> Response {
        var response = Response.text(text, status: status)
        response.headers.append(("Cache-Control", "no-store"))
        return response
    }
}
