// SPDX-License-Identifier: Apache-2.0
// Probes: jobs that are enqueued on an executor or event loop and measure when they run.
//
//     tick ──send──▶ executor's queue ──runs──▶ response: delay = now − sent
//
// At most one probe is outstanding, so a hung executor costs one job. While it hangs there is no
// response and hence no delay; the age of the probe shows the hang. A target that must not be given
// jobs from outside, such as an event loop that may have shut down, runs its own timer and
// announces its next run.

internal import COutriderRuntime
internal import OutriderMetrics
internal import OutriderThreading

/// A target for probes.
public struct ProbeTarget: Sendable {
    /// The threads that the target's jobs run on; the hang watch captures their stacks.
    public enum Threads: Sendable {
        /// Always the same thread, such as an event loop's.
        case one
        /// Any of several threads with the same name: the workers of a pool.
        case pool
    }

    /// The name in logs and notices: `main actor`, `event loop 3`.
    public let name: String
    /// The value of the label `what` in `outrider_stalls_total`.
    public let kind: String
    /// Whether the target is known to respond; if not, silence before the first response means
    /// nothing.
    public let alwaysResponds: Bool
    /// The threads that its jobs run on.
    public let threads: Threads
    /// Enqueues a job to run once, without waiting for it; nil if the target runs its own timer.
    public let enqueue: (@Sendable (_ job: ProbeJob) -> Void)?

    /// Creates a target; see the properties.
    public init(
        name: String, kind: String, alwaysResponds: Bool, threads: Threads = .one,
        enqueue: (@Sendable (_ job: ProbeJob) -> Void)?
    ) {
        self.name = name
        self.kind = kind
        self.alwaysResponds = alwaysResponds
        self.threads = threads
        self.enqueue = enqueue
    }
}

/// An outstanding probe.
public struct ProbeJob: Sendable {
    let probe: Probe
    let sent: ContinuousClock.Instant

    /// Completes the probe; call it once, on the thread that is probed.
    ///
    /// Takes well below a microsecond.
    public func run() { probe.complete(since: sent) }
}

/// The probes of one target, one at a time; thread-safe.
public final class Probe: Sendable {
    /// The probed target.
    public let target: ProbeTarget
    private let delay: Histogram
    private let ageGauge: Gauge?
    private let time: any TimeSource

    private struct State: Sendable {
        /// When the outstanding probe was sent; nil if none is outstanding.
        var sent: ContinuousClock.Instant?
        var responses = 0
        /// The thread that ran the last probe.
        var thread: Int32?
        var isRetired = false
    }

    private let state = Guarded(State())

    /// Creates the probes of `target`.
    ///
    /// - Parameters:
    ///   - target: The target to probe.
    ///   - delay: Observes how long each job waited, in seconds.
    ///   - age: Set at each tick to the age of the outstanding probe, in seconds.
    ///   - time: The clock for both.
    init(_ target: ProbeTarget, delay: Histogram, age: Gauge? = nil, time: any TimeSource) {
        self.target = target
        self.delay = delay
        ageGauge = age
        self.time = time
    }

    /// Sends a probe, unless one is outstanding.
    func send() {
        guard let enqueue = target.enqueue else { return }
        let now = time.now
        let mayGo = state.withLock { state in
            guard state.sent == nil, !state.isRetired else { return false }
            state.sent = now
            return true
        }
        if mayGo { enqueue(ProbeJob(probe: self, sent: now)) }
    }

    /// Announces that the target will run at `due`; past that it is late, until ``ran()``.
    ///
    /// For targets that run their own timer. Call it on the thread that is probed.
    public func expect(at due: ContinuousClock.Instant) {
        let thread = Self.currentThread
        state.withLock { state in
            guard !state.isRetired else { return }
            state.sent = due
            state.thread = thread
        }
    }

    /// Reports that the target runs, after ``expect(at:)``; observes how late it is.
    public func ran() {
        if let due = state.withLock({ $0.sent }) { complete(since: due) }
    }

    /// Updates the gauge with the age of the outstanding probe.
    func updateAge() { ageGauge?.set((age ?? .zero) / .seconds(1)) }

    fileprivate func complete(since sent: ContinuousClock.Instant) {
        let thread = Self.currentThread
        state.withLock { state in
            state.sent = nil
            state.responses += 1
            state.thread = thread
        }
        delay.observe(max(.zero, time.now - sent))
    }

    /// Stops probing: the target is gone.
    ///
    /// An outstanding probe is no longer expected to respond.
    public func retire() {
        state.withLock { state in
            state.isRetired = true
            state.sent = nil
        }
        updateAge()
    }

    /// Whether probing has stopped, because the target is gone or the monitor has stopped.
    public var isRetired: Bool { state.withLock { $0.isRetired } }

    /// The age of the outstanding probe; zero if none is outstanding, nil if it would be
    /// meaningless.
    var age: Duration? {
        state.withLock { state in
            guard state.responses > 0 || target.alwaysResponds, !state.isRetired else { return nil }
            return state.sent.map { max(.zero, time.now - $0) } ?? .zero
        }
    }

    /// Number of responses.
    var responses: Int { state.withLock { $0.responses } }

    /// The kernel's id of the thread that ran the last probe.
    var lastThread: Int32? { state.withLock { $0.thread } }

    private static var currentThread: Int32? {
        let thread = outrider_current_thread()
        return thread > 0 ? thread : nil
    }
}
