// SPDX-License-Identifier: Apache-2.0
// A probe: a job that is given to an executor or event loop and tells when it runs.
//
//     beat ──send──▶ executor's queue ──runs──▶ answer: delay = now − sent
//
// At most one is on its way, so an executor that hangs costs one job. While it hangs there is no
// answer, and so no delay: its age tells then. What must not be given jobs from outside, such as an event
// loop that may have shut down meanwhile, beats by itself and says when it means to run next.

internal import COutriderRuntime
internal import OutriderMetrics
internal import OutriderThreading

/// What a probe is sent to.
public struct ProbeTarget: Sendable {
    /// Which threads its jobs run on, so that the hang watch knows whom to ask.
    public enum Threads: Sendable {
        /// Always the same one, such as an event loop's.
        case one
        /// Any of several that have one name: the workers of a pool.
        case pool
    }

    /// Its name in logs and notices: `main actor`, `event loop 3`.
    public let name: String
    /// The value of the label `what` in `outrider_stalls_total`.
    public let kind: String
    /// Whether it is known to answer; if not, silence means nothing before the first answer.
    public let answersForSure: Bool
    /// Which threads its jobs run on.
    public let threads: Threads
    /// Gives it a job to run once, without waiting for that; nil if it beats by itself.
    public let enqueue: (@Sendable (_ job: ProbeJob) -> Void)?

    /// A target; see the properties.
    public init(
        name: String, kind: String, answersForSure: Bool, threads: Threads = .one,
        enqueue: (@Sendable (_ job: ProbeJob) -> Void)?
    ) {
        self.name = name
        self.kind = kind
        self.answersForSure = answersForSure
        self.threads = threads
        self.enqueue = enqueue
    }
}

/// A probe on its way.
public struct ProbeJob: Sendable {
    let probe: Probe
    let sent: ContinuousClock.Instant

    /// It runs, on the thread that is probed; to be called once.
    ///
    /// Takes well below a microsecond.
    public func run() { probe.answer(since: sent) }
}

/// Probes of one target, one at a time; thread-safe.
public final class Probe: Sendable {
    /// What is probed.
    public let target: ProbeTarget
    private let delay: Histogram
    private let ageGauge: Gauge?
    private let time: any TimeSource

    private struct State: Sendable {
        /// Since when one is on its way; nil while none is.
        var sent: ContinuousClock.Instant?
        var answers = 0
        /// The thread that ran the last one.
        var thread: Int32?
        var isRetired = false
    }

    private let state = Guarded(State())

    /// Probes of `target`.
    ///
    /// - Parameters:
    ///   - target: What is probed.
    ///   - delay: Observes how long each job waited, in seconds.
    ///   - age: Is set at each beat to how long the one on its way has waited, in seconds.
    ///   - time: The clock that both are measured with.
    init(_ target: ProbeTarget, delay: Histogram, age: Gauge? = nil, time: any TimeSource) {
        self.target = target
        self.delay = delay
        ageGauge = age
        self.time = time
    }

    /// Sends one, unless one is on its way.
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

    /// The target means to run at `due`, by itself: past that it is late, until ``ran()``.
    ///
    /// To be called on the thread that is probed, where a target beats by itself.
    public func expect(at due: ContinuousClock.Instant) {
        let thread = Self.currentThread
        state.withLock { state in
            guard !state.isRetired else { return }
            state.sent = due
            state.thread = thread
        }
    }

    /// The target runs, as ``expect(at:)`` has said: how late it is is observed.
    public func ran() {
        if let due = state.withLock({ $0.sent }) { answer(since: due) }
    }

    /// Shows the age of the one on its way.
    func showAge() { ageGauge?.set((age ?? .zero) / .seconds(1)) }

    fileprivate func answer(since sent: ContinuousClock.Instant) {
        let thread = Self.currentThread
        state.withLock { state in
            state.sent = nil
            state.answers += 1
            state.thread = thread
        }
        delay.observe(max(.zero, time.now - sent))
    }

    /// Sends no more: the target is gone.
    ///
    /// One that is on its way is not missed.
    public func retire() {
        state.withLock { state in
            state.isRetired = true
            state.sent = nil
        }
        showAge()
    }

    /// Whether the target is gone, or nobody looks any more.
    public var isRetired: Bool { state.withLock { $0.isRetired } }

    /// How long the one on its way has been so; zero while none is, nil where that would mean nothing.
    var age: Duration? {
        state.withLock { state in
            guard state.answers > 0 || target.answersForSure, !state.isRetired else { return nil }
            return state.sent.map { max(.zero, time.now - $0) } ?? .zero
        }
    }

    /// How many have been answered.
    var answers: Int { state.withLock { $0.answers } }

    /// The thread that ran the last one, by its number in the kernel.
    var lastThread: Int32? { state.withLock { $0.thread } }

    private static var currentThread: Int32? {
        let thread = outrider_current_thread()
        return thread > 0 ? thread : nil
    }
}
