// SPDX-License-Identifier: Apache-2.0
// The hang watch: detects targets that have not responded for too long, and captures their stacks.
//
// The thread to capture is the one that ran the last probe. In a pool, another thread of the same
// name may have taken over, so there it is the first of them that runs a job. Each thread is
// captured once per stall, because the signal cuts sleep(3) and other calls short.

internal import OutriderMetrics
internal import OutriderThreading

/// Watches the probes of a process; thread-safe.
final class StallWatch: Sendable {
    /// Maximum number of stalls kept.
    static let limit = 16
    /// Maximum number of threads captured per stall.
    private static let threadLimit = 8

    /// The key of a stall among those kept.
    private struct Known: Sendable {
        let start: Double
        let target: String
        /// The same start on the monotonic clock that ages are measured with.
        let since: ContinuousClock.Instant
    }

    private struct State: Sendable {
        /// The stalls, the latest first.
        var stalls: [Stall] = []
        /// The current stall of each probe.
        var current: [ObjectIdentifier: Known] = [:]
    }

    let threshold: Duration
    private let counter: Family<Counter>
    private let log: DiagnosticLog
    /// Wall time, for reports.
    private let clock: any MetricClock
    private let time: any TimeSource
    private let patience: Duration
    private let state = Guarded(State())

    init(
        threshold: Duration, in registry: Registry, log: DiagnosticLog, clock: any MetricClock,
        time: any TimeSource, patience: Duration
    ) {
        self.threshold = threshold
        self.log = log
        self.clock = clock
        self.time = time
        self.patience = patience
        counter = registry.counter(
            "outrider_stalls_total",
            help:
                "Times that an executor or event loop did not respond within the stall threshold.",
            labels: ["what"])
    }

    /// The most recent stalls, the latest first.
    var stalls: [Stall] { state.withLock { $0.stalls } }

    /// Checks each probe; stalls of probes that are no longer listed end.
    func check(_ probes: [Probe]) {
        for probe in probes {
            let age = probe.age ?? .zero
            let id = ObjectIdentifier(probe)
            let known = state.withLock { $0.current[id] }
            switch (age >= threshold, known) {
            case (true, nil): begin(probe, id, age)
            case (true, .some(let known)): update(known) { $0.duration = age }
            case (false, .some(let known)):
                state.withLock { $0.current[id] = nil }
                update(known) {
                    // It responded between the previous check and this one.
                    $0.duration = max($0.duration, self.time.now - known.since - age)
                    $0.isOver = true
                }
            case (false, nil): break
            }
        }
        let ids = Set(probes.map { ObjectIdentifier($0) })
        let gone = state.withLock { state in
            let gone = state.current.filter { !ids.contains($0.key) }
            for id in gone.keys { state.current[id] = nil }
            return gone.values
        }
        for known in gone { update(known) { $0.isOver = true } }
    }

    private func update(_ known: Known, _ change: (inout Stall) -> Void) {
        state.withLock { state in
            let index = state.stalls.firstIndex {
                $0.beganAt == known.start && $0.target == known.target
            }
            if let index { change(&state.stalls[index]) }
        }
    }

    private func begin(_ probe: Probe, _ id: ObjectIdentifier, _ age: Duration) {
        let start = clock.secondsSinceEpoch - age / .seconds(1)
        let since = time.now - age
        let stack = stack(of: probe)
        let stall = Stall(
            target: probe.target.name, beganAt: start, duration: age,
            thread: stack.map { "\($0.name) (\($0.thread))" }, state: stack?.state ?? "",
            functions: stack?.functions ?? [])
        state.withLock { state in
            state.current[id] = Known(start: start, target: stall.target, since: since)
            state.stalls = Array(([stall] + state.stalls).prefix(Self.limit))
        }
        counter.with(probe.target.kind).increment()
        log.report(.warning, about: "stall:\(probe.target.kind)", stall.summary)
    }

    private func stack(of probe: Probe) -> ThreadStack? {
        var first: ThreadStack?
        for thread in Self.threads(of: probe).prefix(Self.threadLimit) {
            guard let stack = ThreadStack.capture(thread, within: patience) else { continue }
            if stack.runsJob || probe.target.threads == .one { return stack }
            if first == nil { first = stack }
        }
        return first
    }

    /// The thread that ran the last probe, then those of the same name if it belongs to a pool.
    private static func threads(of probe: Probe) -> [Int32] {
        let last = probe.lastThread
        guard probe.target.threads == .pool else { return last.map { [$0] } ?? [] }
        let name = last.flatMap(ThreadStack.comm)
        let others = ThreadSource.entries(of: "/proc/self/task") ?? []
        let same = others.filter { thread in
            thread != last && name != nil && ThreadStack.comm(of: thread) == name
        }
        return (last.map { [$0] } ?? []) + same
    }
}
