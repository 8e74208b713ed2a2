// SPDX-License-Identifier: Apache-2.0
// A limit on how often something may happen.

public import OutriderMetrics

/// A limit on how often something may happen.
///
/// ```swift
/// let metrics = RateLimiterMetrics("orders") { [weak limiter] in limiter?.permitsLeft }
///
/// if limiter.take() { metrics.allowed() } else { metrics.limited(); throw TooManyRequests() }
/// ```
///
/// A permit is an increment, some two nanoseconds. Thread-safe.
public final class RateLimiterMetrics: Sendable {
    private static let permits = CollectedFamily.gauge(
        "rate_limiter_permits", help: "Permits that are left.", labels: ["limiter"])

    private let allowedRequests: Counter
    private let limitedRequests: Counter
    private let failedRequests: Counter
    private let cancelledRequests: Counter
    private let waits: Histogram
    private let place: SnapshotBoard.Place?

    /// The metrics of a limiter.
    ///
    /// - Parameters:
    ///   - limiter: The limiter's name; not that of whoever is limited, of which there are too many.
    ///   - registry: Where they are exposed.
    ///   - buckets: Upper bounds of the time that a request waits for its permit, in seconds.
    ///   - permits: Permits that are left, asked at each scrape; nil when the limiter is gone.
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
            "rate_limiter_wait_seconds", help: "Time that a request waited for its permit.",
            labels: ["limiter"], buckets: buckets
        ).with(limiter)
        place = permits.map { permits in
            SnapshotBoard.named("rate_limiters", [Self.permits], in: registry).add { samples in
                if let left = permits() { samples.add(Self.permits, left, limiter) }
            }
        }
    }

    /// A request got its permit at once.
    public func allowed() { allowedRequests.increment() }

    /// A request got its permit after it had waited for this time.
    public func allowed(after wait: Duration) {
        allowedRequests.increment()
        waits.observe(wait)
    }

    /// A request got none.
    public func limited() { limitedRequests.increment() }

    /// A request waited for this time and got none.
    public func limited(after wait: Duration) {
        limitedRequests.increment()
        waits.observe(wait)
    }

    /// The caller gave up after it had waited for this time; that is no failure of the limiter.
    public func cancelled(after wait: Duration) {
        cancelledRequests.increment()
        waits.observe(wait)
    }

    /// The limiter did not answer; what the service did then is its own decision.
    public func failed() { failedRequests.increment() }
}
