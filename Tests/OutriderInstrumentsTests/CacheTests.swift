// SPDX-License-Identifier: Apache-2.0
// Tests of cache metrics: on each level, hits and misses add up to lookups.

import OutriderInstruments
import OutriderMetrics
import OutriderTesting
import Testing

private struct Unreachable: Error {}

@Suite struct CacheTests {
    private let clock = ManualClock()
    private let registry: Registry

    init() {
        registry = Registry(hasOwnMetrics: false, log: DiagnosticLog { _, _ in }, clock: clock)
    }

    private func requests(_ result: String, level: String = "1") -> Double? {
        registry.value(
            "cache_requests_total", ["cache": "orders", "level": level, "result": result])
    }

    @Test func `hits and misses add up to lookups`() {
        let cache = CacheMetrics("orders", registry: registry)
        let stored = [1: "book", 2: "pen"]
        for id in 1...5 { cache.lookUp { stored[id] } }
        cache.hit()
        cache.miss()
        cache.negativeHit()
        #expect(requests("hit") == 3)
        #expect(requests("miss") == 4)
        #expect(requests("negative") == 1)
    }

    @Test func `a failed lookup is a miss`() async {
        let cache = CacheMetrics("orders", level: "2", registry: registry)
        let found = await cache.lookUp { () async in "book" as String? }
        #expect(found == "book")
        await #expect(throws: Unreachable.self) {
            try await cache.lookUp { () async throws(Unreachable) -> String? in throw Unreachable()
            }
        }
        #expect(requests("hit", level: "2") == 1)
        #expect(requests("miss", level: "2") == 1)
        #expect(throws: Unreachable.self) {
            try cache.lookUp { () throws(Unreachable) -> String? in throw Unreachable() }
        }
        #expect(requests("miss", level: "2") == 2)
        #expect(
            registry.value("cache_lookup_failures_total", ["cache": "orders", "level": "2"]) == 2)
    }

    @Test func `a lookup that its caller cancels is neither a hit nor a miss`() async throws {
        let cache = CacheMetrics("orders", level: "2", registry: registry)
        await inCancelledTask {
            try await cache.lookUp { () async throws -> String? in throw GaveUp() }
        }
        #expect(requests("hit", level: "2") == 0)
        #expect(requests("miss", level: "2") == 0)
        let labels = ["cache": "orders", "level": "2"]
        try registry.expect("cache_lookup_failures_total", labels, 0)
    }

    @Test func `loads that fail or are cancelled are counted as such, and not timed`() async throws
    {
        let cache = CacheMetrics("orders", registry: registry)
        for _ in 0..<100 {
            await #expect(throws: Unreachable.self) {
                try await cache.load { () async throws(Unreachable) in throw Unreachable() }
            }
        }
        await inCancelledTask { try await cache.load { throw GaveUp() } }
        await cache.load {}
        let labels = ["cache": "orders", "level": "1"]
        for (result, count) in [("success", 1.0), ("failure", 100), ("cancelled", 1)] {
            try registry.expect(
                "cache_loads_total", labels.merging(["result": result]) { $1 }, count)
        }
        try registry.expect("cache_load_duration_seconds_count", labels, 1)
    }

    @Test func `levels are separate and have their own number of entries`() throws {
        let first = CacheMetrics("orders", level: "1", registry: registry) { 100 }
        let second = CacheMetrics("orders", level: "2", registry: registry) { nil }
        first.hit()
        #expect(requests("hit") == 1)
        #expect(requests("hit", level: "2") == 0)
        try registry.expect("cache_entries", ["cache": "orders", "level": "1"], 100)
        #expect(registry.value("cache_entries", ["cache": "orders", "level": "2"]) == nil)
        withExtendedLifetime((first, second)) {}
    }

    @Test func `loads are timed, and evictions have their causes`() async throws {
        let cache = CacheMetrics("orders", registry: registry)
        await cache.load { clock.advance(by: .milliseconds(250)) }
        let labels = ["cache": "orders", "level": "1"]
        try registry.expect("cache_load_duration_seconds_sum", labels, 0.25)
        cache.evicted(count: 3)
        cache.evicted(.invalidated)
        cache.evicted(.other("tenant_left"), count: 2)
        for (cause, count) in [("size", 3.0), ("invalidated", 1), ("tenant_left", 2)] {
            try registry.expect(
                "cache_evictions_total", labels.merging(["cause": cause]) { $1 }, count)
        }
    }
}
