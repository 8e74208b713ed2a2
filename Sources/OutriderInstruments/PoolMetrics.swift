// SPDX-License-Identifier: Apache-2.0
// Metrics of a connection pool: to a database, to another service, to Redis.
//
// Source of the names: OpenTelemetry's semantic conventions for database client metrics, in
// Prometheus spelling.

public import OutriderMetrics
internal import OutriderThreading

/// Metrics of a connection pool, of any protocol.
///
/// ```swift
/// let metrics = PoolMetrics("orders-db") { [weak pool] in
///     pool.map { .init(idle: $0.idle, used: $0.used, max: $0.capacity, pending: $0.waiters) }
/// }
/// let connection = try await metrics.acquire { try await pool.lease() }
/// let order = try await metrics.use { try await connection.load(orderID) }
/// ```
///
/// An exhausted pool shows as `used` at the maximum, pending requests, and growing wait times, even
/// if no request gets a connection. A connection leak shows as `used` that never falls. Every
/// request has one result: `success`, `timeout`, `failure` or `cancelled`. Thread-safe. Recording
/// costs two clock readings and one observation. Give each pool of a registry its own name, and
/// have only a few pools.
public final class PoolMetrics: Sendable {
    /// The state of a pool at one moment.
    public struct Snapshot: Hashable, Sendable {
        /// Connections that are not in use.
        public var idle: Int
        /// Connections in use.
        public var used: Int
        /// The maximum number of connections; nil if the pool does not report it.
        public var max: Int?
        /// Waiting requests; nil if the pool does not report them.
        public var pending: Int?

        /// A snapshot.
        public init(idle: Int, used: Int, max: Int? = nil, pending: Int? = nil) {
            (self.idle, self.used, self.max, self.pending) = (idle, used, max, pending)
        }
    }

    private static let label = "db_client_connection_pool_name"
    private static let count = CollectedFamily.gauge(
        "db_client_connection_count", help: "Connections in the pool, by state.",
        labels: [label, "state"])
    private static let most = CollectedFamily.gauge(
        "db_client_connection_max", help: "Maximum number of connections in the pool.",
        labels: [label])
    private static let pending = CollectedFamily.gauge(
        "db_client_connection_pending_requests", help: "Requests waiting for a connection.",
        labels: [label])

    private let waits: TimedHistogram
    private let uses: Histogram
    private let creations: TimedHistogram
    private let creationFailures: Counter
    private let timeouts: Counter
    private let requests: Family<Counter>
    private let successes: Counter
    private let name: String
    private let registration: SnapshotBoard.Registration?

    /// Creates the metrics of a pool.
    ///
    /// - Parameters:
    ///   - name: The pool's name.
    ///   - registry: The registry for the metrics.
    ///   - buckets: Upper bounds of the three durations, in seconds.
    ///   - snapshot: Returns the pool's state, called at each scrape on a thread of the scrape. It
    ///     should capture the pool weakly, and return nil once the pool is gone.
    public init(
        _ name: String, registry: Registry = .shared, buckets: Buckets = .instruments,
        snapshot: (@Sendable () -> Snapshot?)? = nil
    ) {
        func times(_ metric: String, _ help: String) -> Histogram {
            registry.histogram(metric, help: help, labels: [Self.label], buckets: buckets)
                .with(name)
        }
        waits = TimedHistogram(
            times(
                "db_client_connection_wait_time_seconds", "Time to obtain a connection."),
            in: registry)
        uses = times(
            "db_client_connection_use_time_seconds", "Time that a connection was in use.")
        creations = TimedHistogram(
            times(
                "db_client_connection_create_time_seconds",
                "Time to create a connection."), in: registry)
        creationFailures = registry.counter(
            "db_client_connection_create_failures_total",
            help: "Failed attempts to create a connection.", labels: [Self.label]
        ).with(name)
        timeouts = registry.counter(
            "db_client_connection_timeouts_total",
            help: "Requests that timed out waiting for a connection.", labels: [Self.label]
        ).with(name)
        requests = registry.counter(
            "db_client_connection_requests_total",
            help: "Requests for a connection: success, timeout, failure or cancelled.",
            labels: [Self.label, "result"])
        for result in ["timeout", "failure", "cancelled"] { _ = requests.with(name, result) }
        successes = requests.with(name, "success")
        self.name = name
        registration = snapshot.map { snapshot in
            SnapshotBoard.named("pools", [Self.count, Self.most, Self.pending], in: registry).add {
                samples in
                guard let now = snapshot() else { return }
                samples.add(Self.count, now.idle, name, "idle")
                samples.add(Self.count, now.used, name, "used")
                if let most = now.max { samples.add(Self.most, most, name) }
                if let pending = now.pending { samples.add(Self.pending, pending, name) }
            }
        }
    }

    /// Gets a connection with `body`, and records the wait.
    ///
    /// A request that throws has waited too, and counts as a `failure`; one whose task was
    /// cancelled, as `cancelled`. If the pool has an error for timeouts, ``acquire(isTimeout:_:)``
    /// distinguishes them.
    nonisolated(nonsending)
        public func acquire<Connection>(
            _ body: nonisolated(nonsending) () async throws -> Connection
        ) async throws -> Connection
    {
        let stopwatch = waits.start()
        do {
            let connection = try await body()
            stopwatch.stop()
            successes.increment()
            return connection
        } catch {
            stopwatch.stop()
            requests.with(name, isCancellation(error) ? "cancelled" : "failure").increment()
            throw error
        }
    }

    /// Gets a connection with `body`, and records the wait.
    ///
    /// An error for which `isTimeout` is true counts in `db_client_connection_timeouts_total`, and
    /// any other as a `failure`; neither records a wait time. A request whose task was cancelled
    /// records its wait, and counts as `cancelled`.
    nonisolated(nonsending)
        public func acquire<Connection>(
            isTimeout: (any Error) -> Bool,
            _ body: nonisolated(nonsending) () async throws -> Connection
        ) async throws -> Connection
    {
        let stopwatch = waits.start()
        do {
            let connection = try await body()
            stopwatch.stop()
            successes.increment()
            return connection
        } catch {
            if isTimeout(error) {
                recordTimeout()
            } else if isCancellation(error) {
                stopwatch.stop()
                requests.with(name, "cancelled").increment()
            } else {
                recordFailure()
            }
            throw error
        }
    }

    /// Uses a connection in `body`, and records the duration.
    nonisolated(nonsending)
        public func use<Result, Failure: Error>(
            _ body: nonisolated(nonsending) () async throws(Failure) -> Result
        ) async throws(Failure) -> Result
    {
        try await uses.time(body)
    }

    /// Creates a connection in `body`, and records the duration or the failure.
    ///
    /// An error has no duration; an error in a cancelled task is not counted.
    nonisolated(nonsending)
        public func create<Result, Failure: Error>(
            _ body: nonisolated(nonsending) () async throws(Failure) -> Result
        ) async throws(Failure) -> Result
    {
        let stopwatch = creations.start()
        do {
            let connection = try await body()
            stopwatch.stop()
            return connection
        } catch {
            if !isCancellation(error) { recordCreationFailure() }
            throw error
        }
    }

    /// Records that a request got a connection after this time; for pools that measure it
    /// themselves.
    public func recordWait(_ duration: Duration) {
        waits.histogram.observe(duration)
        successes.increment()
    }

    /// Records how long a connection was in use.
    public func recordUse(_ duration: Duration) { uses.observe(duration) }

    /// Records how long it took to create a connection.
    public func recordCreation(_ duration: Duration) { creations.histogram.observe(duration) }

    /// Counts a connection that could not be created.
    public func recordCreationFailure() { creationFailures.increment() }

    /// Counts a request that timed out waiting for a connection.
    public func recordTimeout() {
        timeouts.increment()
        requests.with(name, "timeout").increment()
    }

    /// Counts a request that got an error instead of a connection.
    public func recordFailure() { requests.with(name, "failure").increment() }

    /// Records a request that its caller cancelled after it had waited for this time.
    public func recordCancellation(after wait: Duration) {
        waits.histogram.observe(wait)
        requests.with(name, "cancelled").increment()
    }
}
