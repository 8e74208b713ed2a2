// SPDX-License-Identifier: Apache-2.0
// Whether the service accepts traffic.

package import OutriderThreading

/// The service's readiness; thread-safe.
package final class Readiness: Sendable {
    /// The phase of the service.
    package enum Phase: String, Sendable { case starting, ready, draining }

    private struct State: Sendable {
        var phase: Phase
        var checks: [ReadinessCheck] = []
    }

    private let state: Guarded<State>
    private let time: any TimeSource

    /// Starts in `phase`; tests may pass their own clock.
    package init(_ phase: Phase, time: any TimeSource = SystemTime()) {
        state = Guarded(State(phase: phase))
        self.time = time
    }

    /// Moves to a phase; draining is final.
    package func move(to phase: Phase) {
        state.withLock { state in
            if state.phase != .draining { state.phase = phase }
        }
    }

    /// Adds a check that is evaluated on each readiness request; one of the same name is replaced.
    package func addCheck(
        _ name: String, within limit: Duration, _ isPassing: @escaping @Sendable () -> Bool
    ) {
        let check = ReadinessCheck(name, limit, time, isPassing)
        // Replaced checks are released when this returns, outside the lock: they hold the service's
        // closures.
        let replaced = state.withLock { state in
            let before = state.checks
            state.checks = before.filter { $0.name != name } + [check]
            return before
        }
        withExtendedLifetime(replaced) {}
    }

    /// Why the service does not accept traffic; empty if it does.
    package func obstacles() -> [String] {
        let (phase, checks) = state.withLock { ($0.phase, $0.checks) }
        if phase != .ready { return [phase.rawValue] }
        // Start all checks before waiting for the first.
        let runs = checks.map { ($0, $0.run()) }
        return runs.compactMap { check, run in check.obstacle(of: run) }
    }
}

/// A readiness check of the service, run once at a time: concurrent requests share the result.
private final class ReadinessCheck: Sendable {
    /// One run of the check.
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

    /// The current run, or a new one.
    ///
    /// It runs on its own thread: a check that hangs costs that thread, and delays a request by no
    /// more than the limit.
    func run() -> Run {
        let (run, isNew) = current.withLock { current in
            if let current { return (current, false) }
            let run = Run(deadline: time.now + limit)
            current = run
            return (run, true)
        }
        if isNew, !DetachedThread.start(named: "outrider-ready", { self.evaluate(run) }) {
            evaluate(run)
        }
        return run
    }

    private func evaluate(_ run: Run) {
        let result = isPassing()
        run.isPassing.withLock { $0 = result }
        current.withLock { $0 = nil }
        run.isOver.open()
    }

    /// Why this check prevents readiness; nil if it passes.
    func obstacle(of run: Run) -> String? {
        guard time.wait(for: run.isOver, until: run.deadline),
            let isPassing = run.isPassing.withLock({ $0 })
        else { return "timed out: \(name)" }
        return isPassing ? nil : "failing: \(name)"
    }
}
