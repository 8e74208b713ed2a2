// SPDX-License-Identifier: Apache-2.0
// Tests of the buckets of timers and recorders: by rule, by default, or those already registered.

import CoreMetrics
import OutriderMetrics
import OutriderTesting
import OutriderThreading
import TestSupport
import Testing

@Suite struct SwiftMetricsBucketsTests {
    private func timerBounds(
        _ label: String, _ rules: [OutriderMetricsFactory.BucketRule]
    ) throws -> [String] {
        var configuration = OutriderMetricsFactory.Configuration()
        configuration.buckets = rules
        configuration.defaultTimerBuckets = [9]
        let registry = Registry.bare
        let factory = OutriderMetricsFactory(registry: registry, configuration: configuration)
        CoreMetrics.Timer(label: label, factory: factory).recordSeconds(1)
        return try registry.exposition().families.flatMap(\.samples)
            .compactMap { $0.labels["le"] }
    }

    @Test(arguments: [
        ("http.server.*", "http.server.duration", true), ("http.server.*", "http.client", false),
        ("*", "x", true), ("*", "", true), ("", "x", false), ("x", "x", true), ("x", "xx", false),
        ("*.duration", "a.b.duration", true), ("a*b*c", "a.b.b.c", true),
        ("a*b*c", "a.b.b.d", false), ("**", "x", true), ("x_seconds", "x", true),
        ("http_server_*", "http.server.duration", true), ("é*", "éx", true), ("?", "x", false),
    ])
    func `a rule matches the label or the exposed name`(
        pattern: String, label: String, fits: Bool
    ) throws {
        let found = try timerBounds(label, [.init(pattern, [1, 2])])
        #expect(found == (fits ? ["1.0", "2.0", "+Inf"] : ["9.0", "+Inf"]))
    }

    @Test func `the first matching rule applies`() throws {
        let found = try timerBounds("a.b", [.init("b*", [1]), .init("a*", [2]), .init("*", [3])])
        #expect(found == ["2.0", "+Inf"])
    }

    @Test func `invalid buckets are skipped and counted`() throws {
        let registry = Registry(log: .silent)
        var configuration = OutriderMetricsFactory.Configuration()
        configuration.buckets = [.init("t", [2, 1]), .init("t", [4])]
        configuration.defaultRecorderBuckets = []
        let factory = OutriderMetricsFactory(registry: registry, configuration: configuration)
        CoreMetrics.Timer(label: "t", factory: factory).recordSeconds(1)
        Recorder(label: "r", factory: factory).record(1)
        try registry.expect("t_seconds_bucket", ["le": "4.0"], 1)
        try registry.expect("r_bucket", ["le": "1.0"], 1)
        #expect(registry.registrationsRefused(.invalidBuckets) == "2")
    }

    @Test func `a histogram registered directly keeps its buckets`() throws {
        let registry = Registry.bare
        _ = registry.histogram("t_seconds", help: "T.", buckets: [7])
        let factory = OutriderMetricsFactory(registry: registry)
        CoreMetrics.Timer(label: "t", factory: factory).recordSeconds(1)
        try registry.expect("t_seconds_bucket", ["le": "7.0"], 1)
    }

    @Test func `the swift-prometheus configuration has that library's buckets`() throws {
        let registry = Registry.bare
        let factory = OutriderMetricsFactory(
            registry: registry, configuration: .swiftPrometheus)
        Recorder(label: "r", factory: factory).record(1)
        let found = try registry.exposition().families.flatMap(\.samples)
            .compactMap { $0.labels["le"] }
        #expect(
            found == [
                "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0",
                "10.0", "+Inf",
            ])
    }

    @Test func `a pattern with many stars is matched quickly`() async throws {
        let pattern = String(repeating: "a*", count: 400) + "b"
        let label = String(repeating: "a", count: 900)
        let hasEnded = Latch()
        let found = Guarded<[String]>([])
        // Trying every assignment of letters to stars would never end.
        try #require(
            DetachedThread.start {
                found.withLock { $0 = (try? timerBounds(label, [.init(pattern, [1])])) ?? [] }
                hasEnded.open()
            })
        let isInTime = try await onOwnThread { hasEnded.wait(for: .seconds(120)) }
        #expect(isInTime)
        #expect(found.withLock { $0 } == ["9.0", "+Inf"])
    }
}
