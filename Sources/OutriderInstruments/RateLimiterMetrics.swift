// SPDX-License-Identifier: Apache-2.0
// Metrics of a rate limiter.

public import OutriderMetrics

/// Metrics of a rate limiter.
///
/// ```swift
/// let metrics = RateLimiterMetrics("orders") { [weak limiter] in limiter?.permitsLeft }
///
/// if limiter.take() { metrics.allowed() } else { metrics.limited(); throw TooManyRequests() }
/// ```
///
/// A permit is one increment, about two nanoseconds. Thread-safe.
public final class RateLimiterMetrics: Sendable {
    private static let permits = CollectedFamily.gauge(
        "rate_limiter_permits", help: "Permits available.", labels: ["limiter"])

    private let allowedRequests: Counter
    private let limitedRequests: Counter
    private let failedRequests: Counter
    private let cancelledRequests: Counter
    private let waits: Histogram
    private let registration: SnapshotBoard.Registration?

    /// Creates the metrics of a limiter.
    ///
    /// - Parameters:
    ///   - limiter: The limiter's name; not the name of a limited client, of which there are too
    ///     many.
    ///   - registry: The registry for the metrics.
    ///   - buckets: Upper bounds of the time that a request waits for its permit, in seconds.
    ///   - permits: Returns the permits left, called at each scrape; nil once the limiter is gone.
    public init(
        _ limiter: String, registry: Registry = .shared, buckets: Buckets = .instruments,
        permits: (@Sendable () -> Int?)? = nil
    ) {
        let requests = registry.counter(
            "rate_limiter_requests_total",
            help:
                "Requests for a permit: allowed, limited, cancelled, or error if the limiter failed.",
            labels: ["limiter", "result"])
        allowedRequests = requests.with(limiter, "allowed")
        limitedRequests = requests.with(limiter, "limited")
        failedRequests = requests.with(limiter, "error")
        cancelledRequests = requests.with(limiter, "cancelled")
        waits = registry.histogram(
            "rate_limiter_wait_seconds", help: "Time that requests waited for a permit.",
            labels: ["limiter"], buckets: buckets
        ).with(limiter)
        registration = permits.map { permits in
            SnapshotBoard.named("rate_limiters", [Self.permits], in: registry).add { samples in
                if let left = permits() { samples.add(Self.permits, left, limiter) }
            }
        }
    }

    /// Counts a request that got its permit at once.
    public func allowed() { allowedRequests.increment() }

    /// Records a request that got its permit after it had waited for this time.
    public func allowed(after wait: Duration) {
        allowedRequests.increment()
        waits.observe(wait)
    }

    /// Counts a request that was denied a permit.
    public func limited() { limitedRequests.increment() }

    /// Records a request that was denied a permit after it had waited for this time.
    public func limited(after wait: Duration) {
        limitedRequests.increment()
        waits.observe(wait)
    }

    /// Records a request that its caller cancelled after this wait; not a failure of the limiter.
    public func cancelled(after wait: Duration) {
        cancelledRequests.increment()
        waits.observe(wait)
    }

    /// Counts a request for which the limiter failed; the service decides how to proceed.
    public func failed() { failedRequests.increment() }
}
