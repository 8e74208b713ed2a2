// SPDX-License-Identifier: Apache-2.0
// Metrics of a cache, or of one level of it.

public import OutriderMetrics
internal import OutriderThreading

/// Metrics of a cache, or of one level of it.
///
/// ```swift
/// let level1 = CacheMetrics("orders", level: "1") { [weak cache] in cache?.count }
/// let level2 = CacheMetrics("orders", level: "2")
///
/// if let order = level1.lookUp({ cache[id] }) { return order }
/// let order = try await level2.load { try await database.order(id) }
/// ```
///
/// Counts the lookups of a level: hits, misses, and negative hits, for which the cache knows that
/// no value exists. Counts and times its loads: successes with their durations, failures, and
/// cancelled loads. A hit is one increment, about two nanoseconds. Thread-safe.
public final class CacheMetrics: Sendable {
    /// Why an entry was removed.
    public struct Eviction: Hashable, Sendable {
        let label: String

        /// The cache was full.
        public static let size = Eviction(label: "size")
        /// The entry was too old.
        public static let expired = Eviction(label: "expired")
        /// The entry was invalidated.
        public static let invalidated = Eviction(label: "invalidated")
        /// Another entry replaced it.
        public static let replaced = Eviction(label: "replaced")

        /// Another reason; use only a few.
        public static func other(_ label: String) -> Eviction { Eviction(label: label) }
    }

    private static let labels = ["cache", "level"]
    private static let entries = CollectedFamily.gauge(
        "cache_entries", help: "Entries in the cache.", labels: labels)

    @usableFromInline let hits: Counter
    @usableFromInline let misses: Counter
    private let negatives: Counter
    private let loads: TimedHistogram
    private let loadResults: Family<Counter>
    private let loaded: Counter
    private let lookUpFailures: Counter
    private let evictions: Family<Counter>
    private let sizeEvictions: Counter
    private let cache: String
    private let level: String
    private let registration: SnapshotBoard.Registration?

    /// Creates the metrics of a cache.
    ///
    /// - Parameters:
    ///   - cache: The cache's name.
    ///   - level: The level of the cache; `1` is looked up first.
    ///   - registry: The registry for the metrics.
    ///   - buckets: Upper bounds of the load duration, in seconds.
    ///   - entries: Returns the number of entries, called at each scrape; nil once the cache is
    ///     gone.
    public init(
        _ cache: String, level: String = "1", registry: Registry = .shared,
        buckets: Buckets = .instruments, entries: (@Sendable () -> Int?)? = nil
    ) {
        let requests = registry.counter(
            "cache_requests_total", help: "Cache lookups, by result.",
            labels: Self.labels + ["result"])
        hits = requests.with(cache, level, "hit")
        misses = requests.with(cache, level, "miss")
        negatives = requests.with(cache, level, "negative")
        lookUpFailures = registry.counter(
            "cache_lookup_failures_total",
            help: "Cache lookups that failed; they also count as misses.", labels: Self.labels
        ).with(cache, level)
        let loads = registry.histogram(
            "cache_load_duration_seconds", help: "Duration of successful loads after a cache miss.",
            labels: Self.labels, buckets: buckets
        ).with(cache, level)
        self.loads = TimedHistogram(loads, in: registry)
        loadResults = registry.counter(
            "cache_loads_total", help: "Loads after a cache miss: success, failure or cancelled.",
            labels: Self.labels + ["result"])
        for result in ["failure", "cancelled"] { _ = loadResults.with(cache, level, result) }
        loaded = loadResults.with(cache, level, "success")
        evictions = registry.counter(
            "cache_evictions_total", help: "Entries removed from the cache, by cause.",
            labels: Self.labels + ["cause"])
        sizeEvictions = evictions.with(cache, level, Eviction.size.label)
        (self.cache, self.level) = (cache, level)
        registration = entries.map { entries in
            SnapshotBoard.named("caches", [Self.entries], in: registry).add { samples in
                if let count = entries() { samples.add(Self.entries, count, cache, level) }
            }
        }
    }

    /// Counts a hit.
    @inlinable
    public func hit() { hits.increment() }

    /// Counts a miss.
    @inlinable
    public func miss() { misses.increment() }

    /// Counts a negative hit: the cache knows that no value exists.
    public func negativeHit() { negatives.increment() }

    /// Looks up a value with `find`, and counts a hit or a miss.
    ///
    /// A lookup that throws counts as a miss and in `cache_lookup_failures_total`; one whose task
    /// was cancelled is not counted.
    @discardableResult
    @inlinable
    public func lookUp<Value, Failure: Error>(
        _ find: () throws(Failure) -> Value?
    ) throws(Failure) -> Value? {
        do {
            let found = try find()
            if found == nil { misses.increment() } else { hits.increment() }
            return found
        } catch {
            noteFailedLookUp(error)
            throw error
        }
    }

    /// The same, for a cache on another machine.
    @discardableResult
    nonisolated(nonsending)
        public func lookUp<Value, Failure: Error>(
            _ find: nonisolated(nonsending) () async throws(Failure) -> Value?
        ) async throws(Failure) -> Value?
    {
        do {
            let found = try await find()
            if found == nil { misses.increment() } else { hits.increment() }
            return found
        } catch {
            noteFailedLookUp(error)
            throw error
        }
    }

    @usableFromInline
    func noteFailedLookUp(_ error: any Error) {
        if isCancellation(error) { return }
        misses.increment()
        lookUpFailures.increment()
    }

    /// Loads a missing value with `body`, and records the duration or the failure.
    ///
    /// A load that throws counts as a `failure` in `cache_loads_total`, one whose task was
    /// cancelled as `cancelled`. Neither has a duration, because a quick failure is not a quick
    /// load.
    nonisolated(nonsending)
        public func load<Value, Failure: Error>(
            _ body: nonisolated(nonsending) () async throws(Failure) -> Value
        ) async throws(Failure) -> Value
    {
        let stopwatch = loads.start()
        do {
            let value = try await body()
            stopwatch.stop()
            loaded.increment()
            return value
        } catch {
            let result = isCancellation(error) ? "cancelled" : "failure"
            loadResults.with(cache, level, result).increment()
            throw error
        }
    }

    /// Counts removed entries.
    public func evicted(_ cause: Eviction = .size, count: Int = 1) {
        let counter = cause == .size ? sizeEvictions : evictions.with(cache, level, cause.label)
        counter.increment(by: count)
    }
}
