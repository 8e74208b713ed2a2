// SPDX-License-Identifier: Apache-2.0
// A queue of work with a limit, and those who work it off; also behind a log or a broker.

public import OutriderMetrics

/// A queue of work, and the workers behind it.
///
/// ```swift
/// let metrics = WorkQueueMetrics("orders", capacity: 1_000)
///
/// guard queue.hasRoom else { metrics.rejected(); throw Overload() }
/// let ticket = metrics.enqueued()
/// queue.append { await ticket.run { await place(order) } }
/// ```
///
/// Depth and wait tell of too few workers, run time of slow work, rejections of a limit that was met. One
/// look at the clock where work enters, one where it starts, one where it ends. Thread-safe.
public final class WorkQueueMetrics: Sendable {
    private let depth: Gauge
    private let active: Gauge
    private let waits: Times
    private let runs: Times
    private let rejections: Counter
    private let deadlines: Counter
    private let lag: OnceGauge

    /// The metrics of a queue.
    ///
    /// - Parameters:
    ///   - queue: The queue's name.
    ///   - capacity: As many as may wait; nil for no limit.
    ///   - registry: Where they are exposed.
    ///   - buckets: Upper bounds of both times, in seconds.
    public init(
        _ queue: String, capacity: Int? = nil, registry: Registry = .shared,
        buckets: Buckets = .instruments
    ) {
        let labels = ["queue"]
        depth = registry.gauge(
            "work_queue_depth", help: "Work that waits in a queue.", labels: labels
        ).with(queue)
        active = registry.gauge(
            "work_queue_active", help: "Work of a queue that is being done.", labels: labels
        ).with(queue)
        let waits = registry.histogram(
            "work_queue_wait_seconds", help: "Time that work waited in a queue.", labels: labels,
            buckets: buckets
        ).with(queue)
        self.waits = Times(waits, in: registry)
        let runs = registry.histogram(
            "work_queue_run_seconds", help: "Time that work of a queue took.", labels: labels,
            buckets: buckets
        ).with(queue)
        self.runs = Times(runs, in: registry)
        rejections = registry.counter(
            "work_queue_rejected_total", help: "Work that a queue did not take.", labels: labels
        ).with(queue)
        deadlines = registry.counter(
            "work_queue_deadline_exceeded_total",
            help: "Work whose result did not come in time for who waited for it.", labels: labels
        ).with(queue)
        lag = OnceGauge {
            registry.gauge(
                "consumer_lag_messages", help: "Messages behind the end of a log or broker.",
                labels: labels
            ).with(queue)
        }
        if let capacity {
            registry.gauge(
                "work_queue_capacity", help: "Work that may wait in a queue.", labels: labels
            ).with(queue).set(capacity)
        }
    }

    /// Work entered the queue; what is returned goes with it.
    public func enqueued() -> Ticket {
        depth.increment()
        return Ticket(queue: self, waiting: waits.start())
    }

    /// Work was not taken: the queue was full, or too slow to be of use.
    public func rejected() { rejections.increment() }

    /// Who gave the work had waited long enough and got no result, whether it was begun or not.
    public func deadlineExceeded() { deadlines.increment() }

    /// How far behind the end of a log or broker the consumer is.
    public func setLag(messages: Int) { lag.gauge.set(messages) }

    /// Work in a queue.
    ///
    /// Exactly one of ``run(_:)-(_)``, ``begin()`` and ``leave()`` is to be called, once.
    public struct Ticket: Sendable {
        fileprivate let queue: WorkQueueMetrics
        fileprivate let waiting: Stopwatch

        /// Does the work: it has waited until now.
        public func run<Result, Failure: Error>(
            _ body: () throws(Failure) -> Result
        ) throws(Failure) -> Result {
            let running = begin()
            defer { running.end() }
            return try body()
        }

        /// Does the work: it has waited until now.
        nonisolated(nonsending)
            public func run<Result, Failure: Error>(
                _ body: nonisolated(nonsending) () async throws(Failure) -> Result
            ) async throws(Failure) -> Result
        {
            let running = begin()
            defer { running.end() }
            return try await body()
        }

        /// It leaves the queue without being done: its deadline has passed, or nobody wants it.
        public func leave() {
            queue.depth.decrement()
            queue.rejections.increment()
        }

        /// The work begins, for those who cannot do it in a closure, as a batch of it.
        public func begin() -> Running {
            waiting.stop()
            queue.depth.decrement()
            queue.active.increment()
            return Running(queue: queue, stopwatch: queue.runs.start())
        }
    }

    /// Work that is being done; ``end()`` is to be called once.
    public struct Running: Sendable {
        fileprivate let queue: WorkQueueMetrics
        fileprivate let stopwatch: Stopwatch

        /// It is done, well or not.
        public func end() {
            stopwatch.stop()
            queue.active.decrement()
        }
    }
}
