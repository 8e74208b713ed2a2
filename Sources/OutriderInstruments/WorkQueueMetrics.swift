// SPDX-License-Identifier: Apache-2.0
// Metrics of a work queue and its workers; also of a consumer of a log or broker.

public import OutriderMetrics
internal import OutriderThreading
internal import Synchronization

/// Metrics of a work queue and its workers.
///
/// ```swift
/// let metrics = WorkQueueMetrics("orders", capacity: 1_000)
///
/// guard queue.hasRoom else { metrics.rejected(); throw Overload() }
/// let ticket = metrics.enqueued()
/// queue.append { await ticket.run { await place(order) } }
/// ```
///
/// Depth and wait time show too few workers, run time shows slow work, and rejections show a limit
/// that was reached. A ticket that is dropped, with its queue or by an `AsyncStream` that keeps the
/// newest, leaves by itself. Costs one allocation and four clock readings: one when work
/// enters, two when it starts, one when it ends. Thread-safe.
public final class WorkQueueMetrics: Sendable {
    private let depth: Gauge
    private let active: Gauge
    private let waits: TimedHistogram
    private let runs: TimedHistogram
    private let rejections: Counter
    private let deadlines: Counter
    private let failures: Counter
    private let lag: OnceGauge

    /// Creates the metrics of a queue.
    ///
    /// - Parameters:
    ///   - queue: The queue's name.
    ///   - capacity: The maximum length; nil for no limit.
    ///   - registry: The registry for the metrics.
    ///   - buckets: Upper bounds of both durations, in seconds.
    public init(
        _ queue: String, capacity: Int? = nil, registry: Registry = .shared,
        buckets: Buckets = .instruments
    ) {
        let labels = ["queue"]
        depth = registry.gauge(
            "work_queue_depth", help: "Items waiting in the queue.", labels: labels
        ).with(queue)
        active = registry.gauge(
            "work_queue_active", help: "Items being processed.", labels: labels
        ).with(queue)
        let waits = registry.histogram(
            "work_queue_wait_seconds", help: "Time that items waited in the queue.", labels: labels,
            buckets: buckets
        ).with(queue)
        self.waits = TimedHistogram(waits, in: registry)
        let runs = registry.histogram(
            "work_queue_run_seconds", help: "Time spent processing an item.", labels: labels,
            buckets: buckets
        ).with(queue)
        self.runs = TimedHistogram(runs, in: registry)
        rejections = registry.counter(
            "work_queue_rejected_total", help: "Items that the queue rejected.", labels: labels
        ).with(queue)
        deadlines = registry.counter(
            "work_queue_deadline_exceeded_total",
            help: "Items whose result came too late for its caller.", labels: labels
        ).with(queue)
        failures = registry.counter(
            "work_queue_failures_total", help: "Items whose processing failed.",
            labels: labels
        ).with(queue)
        lag = OnceGauge {
            registry.gauge(
                "consumer_lag_messages", help: "Messages behind the end of the log or broker.",
                labels: labels
            ).with(queue)
        }
        if let capacity {
            registry.gauge(
                "work_queue_capacity", help: "Maximum number of waiting items.", labels: labels
            ).with(queue).set(capacity)
        }
    }

    /// Counts work that entered the queue; keep the returned ticket with it.
    public func enqueued() -> Ticket { Ticket(queue: self) }

    /// Counts work that was not accepted: the queue was full, or too slow to be of use.
    public func rejected() { rejections.increment() }

    /// Counts work whose caller stopped waiting for its result, whether or not it had begun.
    public func deadlineExceeded() { deadlines.increment() }

    /// Sets how many messages the consumer is behind the end of a log or broker.
    public func setLag(messages: Int) { lag.gauge.set(messages) }

    /// Work in a queue.
    ///
    /// Only the first call of ``run(_:)-(_)``, ``begin()`` or ``discard()`` counts. Without one,
    /// the work leaves the queue with the last reference to its ticket. Thread-safe.
    public final class Ticket: Sendable {
        private let queue: WorkQueueMetrics
        private let waiting: Stopwatch
        private let hasLeft = Atomic<Bool>(false)

        fileprivate init(queue: WorkQueueMetrics) {
            self.queue = queue
            waiting = queue.waits.start()
            queue.depth.increment()
        }

        deinit { discard() }

        /// Runs the work, which ends its wait.
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

        /// Runs the work, which ends its wait.
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

        /// Removes the work from the queue without running it: its deadline has passed, or its
        /// result is not needed.
        ///
        /// It counts in `work_queue_rejected_total`.
        public func discard() {
            guard leaveQueue() else { return }
            queue.rejections.increment()
        }

        /// Begins the work, for callers that cannot run it in a closure, as with a batch.
        ///
        /// If the work has already begun or left, the returned value counts nothing.
        public func begin() -> Running { Running(queue: queue, stopwatch: start()) }

        /// Starts to time the work; nil if it has already begun or left.
        private func start() -> Stopwatch? {
            guard leaveQueue() else { return nil }
            waiting.stop()
            queue.active.increment()
            return queue.runs.start()
        }

        /// Removes the work from the depth; false if that was already done.
        private func leaveQueue() -> Bool {
            // ORDERING: relaxed; only which call comes first matters.
            if hasLeft.exchange(true, ordering: .relaxed) { return false }
            queue.depth.decrement()
            return true
        }
    }

    /// Ends timed work; nil counts nothing.
    private func end(_ running: Stopwatch?, isFailure: Bool = false) {
        guard let running else { return }
        running.stop()
        if isFailure { failures.increment() }
        active.decrement()
    }

    /// Work in progress.
    ///
    /// It counts until ``end()`` or ``fail()``, or until its last reference is released.
    /// Thread-safe.
    public final class Running: Sendable {
        private let queue: WorkQueueMetrics
        /// Nil if the work is not counted.
        private let stopwatch: Stopwatch?
        private let hasEnded = Atomic<Bool>(false)

        fileprivate init(queue: WorkQueueMetrics, stopwatch: Stopwatch?) {
            self.queue = queue
            self.stopwatch = stopwatch
        }

        deinit { end() }

        /// Ends the work; only the first call of this or ``fail()`` counts.
        public func end() { end(isFailure: false) }

        /// Ends the work with an error.
        public func fail() { end(isFailure: true) }

        private func end(isFailure: Bool) {
            // ORDERING: relaxed; only which call comes first matters.
            if hasEnded.exchange(true, ordering: .relaxed) { return }
            queue.end(stopwatch, isFailure: isFailure)
        }
    }
}
