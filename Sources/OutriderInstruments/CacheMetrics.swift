// SPDX-License-Identifier: Apache-2.0
// A cache, or one level of it.

public import OutriderMetrics
internal import OutriderThreading

/// A cache, or one level of it.
///
/// ```swift
/// let level1 = CacheMetrics("orders", level: "1") { [weak cache] in cache?.count }
/// let level2 = CacheMetrics("orders", level: "2")
///
/// if let order = level1.lookUp({ cache[id] }) { return order }
/// let order = try await level2.load { try await database.order(id) }
/// ```
///
/// Of all look-ups of a level: hits, misses, and negative hits, where the cache knew that there is nothing.
/// Of all loads: successes with their times, failures, and those that were cancelled. A hit is an increment,
/// some two nanoseconds. Thread-safe.
public final class CacheMetrics: Sendable {
    /// Why an entry went.
    public struct Eviction: Hashable, Sendable {
        let label: String

        /// There was no room.
        public static let size = Eviction(label: "size")
        /// It was too old.
        public static let expired = Eviction(label: "expired")
        /// Somebody said that it is not true any more.
        public static let invalidated = Eviction(label: "invalidated")
        /// Another one took its place.
        public static let replaced = Eviction(label: "replaced")

        /// Another reason; there should be few.
        public static func other(_ label: String) -> Eviction { Eviction(label: label) }
    }

    private static let labels = ["cache", "level"]
    private static let entries = CollectedFamily.gauge(
        "cache_entries", help: "Entries of a cache.", labels: labels)

    @usableFromInline let hits: Counter
    @usableFromInline let misses: Counter
    private let negatives: Counter
    private let loads: Times
    private let loadResults: Family<Counter>
    private let loaded: Counter
    private let lookUpFailures: Counter
    private let evictions: Family<Counter>
    private let sizeEvictions: Counter
    private let cache: String
    private let level: String
    private let place: SnapshotBoard.Place?

    /// The metrics of a cache.
    ///
    /// - Parameters:
    ///   - cache: The cache's name.
    ///   - level: Which level of it, `1` being asked first.
    ///   - registry: Where they are exposed.
    ///   - buckets: Upper bounds of the time that loading takes, in seconds.
    ///   - entries: How many entries it has, asked at each scrape; nil when it is gone.
    public init(
        _ cache: String, level: String = "1", registry: Registry = .shared,
        buckets: Buckets = .instruments, entries: (@Sendable () -> Int?)? = nil
    ) {
        let requests = registry.counter(
            "cache_requests_total", help: "Look-ups in a cache, by result.",
            labels: Self.labels + ["result"])
        hits = requests.with(cache, level, "hit")
        misses = requests.with(cache, level, "miss")
        negatives = requests.with(cache, level, "negative")
        lookUpFailures = registry.counter(
            "cache_lookup_failures_total",
            help: "Look-ups that ended with an error; they are misses too.", labels: Self.labels
        ).with(cache, level)
        let loads = registry.histogram(
            "cache_load_duration_seconds", help: "Time that it took to load what was missed.",
            labels: Self.labels, buckets: buckets
        ).with(cache, level)
        self.loads = Times(loads, in: registry)
        loadResults = registry.counter(
            "cache_loads_total", help: "Loads of what was missed: success, failure or cancelled.",
            labels: Self.labels + ["result"])
        for result in ["failure", "cancelled"] { _ = loadResults.with(cache, level, result) }
        loaded = loadResults.with(cache, level, "success")
        evictions = registry.counter(
            "cache_evictions_total", help: "Entries that went, by cause.",
            labels: Self.labels + ["cause"])
        sizeEvictions = evictions.with(cache, level, Eviction.size.label)
        (self.cache, self.level) = (cache, level)
        place = entries.map { entries in
            SnapshotBoard.named("caches", [Self.entries], in: registry).add { samples in
                if let count = entries() { samples.add(Self.entries, count, cache, level) }
            }
        }
    }

    /// What was looked for was there.
    @inlinable
    public func hit() { hits.increment() }

    /// It was not.
    @inlinable
    public func miss() { misses.increment() }

    /// The cache knew that there is nothing to be found.
    public func negativeHit() { negatives.increment() }

    /// Looks in the cache by `find`, and counts a hit or a miss.
    ///
    /// A look-up that throws counts as a miss and in `cache_lookup_failures_total`; one whose task was
    /// cancelled was no look-up, and does not count.
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

    /// Loads what was missed, and records how long that took, or that it failed.
    ///
    /// A load that throws counts as a `failure` in `cache_loads_total`, one whose task was cancelled as
    /// `cancelled`; neither has a time, since a quick failure is not a quick load.
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

    /// Entries went, for this reason.
    public func evicted(_ cause: Eviction = .size, count: Int = 1) {
        let counter = cause == .size ? sizeEvictions : evictions.with(cache, level, cause.label)
        counter.increment(by: count)
    }
}
