// SPDX-License-Identifier: Apache-2.0
// Whether the service wants traffic, and the two pages that tell it.

internal import OutriderEndpoint
internal import OutriderThreading
internal import Synchronization

/// What an agent knows about the service's readiness; thread-safe.
final class Readiness: Sendable {
    /// Where the service stands.
    enum Phase: String, Sendable { case starting, ready, draining }

    private struct State: Sendable {
        var phase: Phase
        var checks: [ReadinessCheck] = []
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
        let check = ReadinessCheck(name, isPassing)
        // What is replaced goes when this returns, outside the lock: it is the service's own.
        let replaced = state.withLock { state in
            let before = state.checks
            state.checks = before.filter { $0.name != name } + [check]
            return before
        }
        withExtendedLifetime(replaced) {}
    }

    /// Why the service wants no traffic; empty if it does.
    func obstacles() -> [String] {
        let (phase, checks) = state.withLock { ($0.phase, $0.checks) }
        if phase != .ready { return [phase.rawValue] }
        // Outside the lock: a check is the service's own code and may take its time.
        return checks.compactMap { $0.obstacle() }
    }
}

/// A question to the service, asked by one request at a time.
private final class ReadinessCheck: Sendable {
    let name: String
    private let isPassing: @Sendable () -> Bool
    private let isBeingAsked = Atomic<Bool>(false)

    init(_ name: String, _ isPassing: @escaping @Sendable () -> Bool) {
        self.name = name
        self.isPassing = isPassing
    }

    /// Why this check stands in the way; nil if it does not.
    ///
    /// A check that has not answered an earlier request is not asked again, so that one that hangs
    /// costs one thread and not every one there is.
    func obstacle() -> String? {
        // ORDERING: acquire and release; whoever asks next sees what the last one did.
        if isBeingAsked.exchange(true, ordering: .acquiring) { return "still asking: \(name)" }
        defer { isBeingAsked.store(false, ordering: .releasing) }
        return isPassing() ? nil : "failing: \(name)"
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
    /// An answer that no cache keeps.
    static func uncached(_ text: String, status: Int) -> Response {
        var response = Response.text(text, status: status)
        response.headers.append(("Cache-Control", "no-store"))
        return response
    }
}
