// SPDX-License-Identifier: Apache-2.0
// A queue of work with a limit, and those who work it off; also behind a log or a broker.

public import OutriderMetrics
internal import OutriderThreading
internal import Synchronization

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
/// Depth and wait tell of too few workers, run time of slow work, rejections of a limit that was met. A
/// ticket that is dropped, as by an `AsyncStream` that keeps the newest or with its queue, leaves by itself.
/// One allocation and one look at the clock where work enters, one where it starts, one where it ends.
/// Thread-safe.
public final class WorkQueueMetrics: Sendable {
    private let depth: Gauge
    private let active: Gauge
    private let waits: Times
    private let runs: Times
    private let rejections: Counter
    private let deadlines: Counter
    private let failures: Counter
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
        failures = registry.counter(
            "work_queue_failures_total", help: "Work of a queue that ended with an error.",
            labels: labels
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

    /// Work entered the queue; the ticket that is returned goes with it.
    public func enqueued() -> Ticket { Ticket(queue: self) }

    /// Work was not taken: the queue was full, or too slow to be of use.
    public func rejected() { rejections.increment() }

    /// Who gave the work had waited long enough and got no result, whether it was begun or not.
    public func deadlineExceeded() { deadlines.increment() }

    /// How far behind the end of a log or broker the consumer is.
    public func setLag(messages: Int) { lag.gauge.set(messages) }

    /// Work in a queue.
    ///
    /// The first call of ``run(_:)-(_)``, ``begin()`` or ``leave()`` counts, and later ones are ignored. If
    /// there is none, the work leaves the queue with the last reference to its ticket. Thread-safe.
    public final class Ticket: Sendable {
        private let queue: WorkQueueMetrics
        private let waiting: Stopwatch
        private let hasLeft = Atomic<Bool>(false)

        fileprivate init(queue: WorkQueueMetrics) {
            self.queue = queue
            waiting = queue.waits.start()
            queue.depth.increment()
        }

        deinit { leave() }

        /// Does the work: it has waited until now.
        ///
        /// An error counts in `work_queue_failures_total`, unless the task was cancelled.
        public func run<Result, Failure: Error>(
            _ body: () throws(Failure) -> Result
        ) throws(Failure) -> Result {
            let running = start()
            do {
                let result = try body()
                queue.end(running)
                return result
            } catch {
                queue.end(running, isFailure: !isCancellation(error))
                throw error
            }
        }

        /// Does the work: it has waited until now.
        ///
        /// An error counts in `work_queue_failures_total`, unless the task was cancelled.
        nonisolated(nonsending)
            public func run<Result, Failure: Error>(
                _ body: nonisolated(nonsending) () async throws(Failure) -> Result
            ) async throws(Failure) -> Result
        {
            let running = start()
            do {
                let result = try await body()
                queue.end(running)
                return result
            } catch {
                queue.end(running, isFailure: !isCancellation(error))
                throw error
            }
        }

        /// It leaves the queue without being done: its deadline has passed, or its result is not needed.
        ///
        /// It counts in `work_queue_rejected_total`.
        public func leave() {
            guard leaveQueue() else { return }
            queue.rejections.increment()
        }

        /// The work begins, for callers that cannot do it in a closure, as with a batch.
        ///
        /// Of work that has begun or left already, the result counts nothing.
        public func begin() -> Running { Running(queue: queue, stopwatch: start()) }

        /// Starts to time the work; nil if it has begun or left already.
        private func start() -> Stopwatch? {
            guard leaveQueue() else { return nil }
            waiting.stop()
            queue.active.increment()
            return queue.runs.start()
        }

        /// Takes the work out of the depth; false if it is out already.
        private func leaveQueue() -> Bool {
            // ORDERING: relaxed; only which call comes first matters.
            if hasLeft.exchange(true, ordering: .relaxed) { return false }
            queue.depth.decrement()
            return true
        }
    }

    /// Ends work that was timed; nil counts nothing.
    private func end(_ running: Stopwatch?, isFailure: Bool = false) {
        guard let running else { return }
        running.stop()
        if isFailure { failures.increment() }
        active.decrement()
    }

    /// Work that is being done.
    ///
    /// It is until ``end()`` or ``fail()``, or until the last reference to it goes. Thread-safe.
    public final class Running: Sendable {
        private let queue: WorkQueueMetrics
        /// Nil if it counts nothing.
        private let stopwatch: Stopwatch?
        private let hasEnded = Atomic<Bool>(false)

        fileprivate init(queue: WorkQueueMetrics, stopwatch: Stopwatch?) {
            self.queue = queue
            self.stopwatch = stopwatch
        }

        deinit { end() }

        /// It is done; only the first call of this or ``fail()`` counts.
        public func end() { end(isFailure: false) }

        /// It ended with an error.
        public func fail() { end(isFailure: true) }

        private func end(isFailure: Bool) {
            // ORDERING: relaxed; only which call comes first matters.
            if hasEnded.exchange(true, ordering: .relaxed) { return }
            queue.end(stopwatch, isFailure: isFailure)
        }
    }
}
