// SPDX-License-Identifier: Apache-2.0
// Whether the service wants traffic.

package import OutriderThreading

/// What an agent knows about the service's readiness; thread-safe.
package final class Readiness: Sendable {
    /// Where the service stands.
    package enum Phase: String, Sendable { case starting, ready, draining }

    private struct State: Sendable {
        var phase: Phase
        var checks: [ReadinessCheck] = []
    }

    private let state: Guarded<State>
    private let time: any TimeSource

    /// What is known at the start; a test may pass a time of its own.
    package init(_ phase: Phase, time: any TimeSource = SystemTime()) {
        state = Guarded(State(phase: phase))
        self.time = time
    }

    /// Moves on; draining is for good.
    package func move(to phase: Phase) {
        state.withLock { state in
            if state.phase != .draining { state.phase = phase }
        }
    }

    /// Asks `isPassing` when somebody asks for readiness; one of the same name is replaced.
    package func addCheck(
        _ name: String, within limit: Duration, _ isPassing: @escaping @Sendable () -> Bool
    ) {
        let check = ReadinessCheck(name, limit, time, isPassing)
        // What is replaced goes when this returns, outside the lock: it is the service's own.
        let replaced = state.withLock { state in
            let before = state.checks
            state.checks = before.filter { $0.name != name } + [check]
            return before
        }
        withExtendedLifetime(replaced) {}
    }

    /// Why the service wants no traffic; empty if it does.
    package func obstacles() -> [String] {
        let (phase, checks) = state.withLock { ($0.phase, $0.checks) }
        if phase != .ready { return [phase.rawValue] }
        // All are under way before the first is waited for.
        let runs = checks.map { ($0, $0.run()) }
        return runs.compactMap { check, run in check.obstacle(of: run) }
    }
}

/// A question to the service, which is asked once at a time: all who come meanwhile share the answer.
private final class ReadinessCheck: Sendable {
    /// One asking.
    final class Run: Sendable {
        let deadline: ContinuousClock.Instant
        let isOver = Latch()
        let isPassing = Guarded<Bool?>(nil)

        init(deadline: ContinuousClock.Instant) {
            self.deadline = deadline
        }
    }

    let name: String
    private let limit: Duration
    private let time: any TimeSource
    private let isPassing: @Sendable () -> Bool
    private let current = Guarded<Run?>(nil)

    init(
        _ name: String, _ limit: Duration, _ time: any TimeSource,
        _ isPassing: @escaping @Sendable () -> Bool
    ) {
        self.name = name
        self.limit = limit
        self.time = time
        self.isPassing = isPassing
    }

    /// The asking under way, or a new one.
    ///
    /// It has a thread of its own: one that hangs costs that thread, and no request more than the limit.
    func run() -> Run {
        let (run, isNew) = current.withLock { current in
            if let current { return (current, false) }
            let run = Run(deadline: time.now + limit)
            current = run
            return (run, true)
        }
        if isNew, !DetachedThread.start(named: "outrider-ready", { self.ask(run) }) { ask(run) }
        return run
    }

    private func ask(_ run: Run) {
        let result = isPassing()
        run.isPassing.withLock { $0 = result }
        current.withLock { $0 = nil }
        run.isOver.open()
    }

    /// Why this check stands in the way; nil if it does not.
    func obstacle(of run: Run) -> String? {
        guard time.wait(for: run.isOver, until: run.deadline),
            let isPassing = run.isPassing.withLock({ $0 })
        else { return "still asking: \(name)" }
        return isPassing ? nil : "failing: \(name)"
    }
}
