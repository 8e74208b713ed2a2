// SPDX-License-Identifier: Apache-2.0
// Tests of swift-metrics: each of its types is exposed as one of Prometheus's.

import CoreMetrics
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct SwiftMetricsTests {
    private let registry = Registry(log: .silent)
    private let factory: OutriderMetricsFactory

    init() {
        factory = OutriderMetricsFactory(registry: registry)
    }

    @Test func `a counter is a counter, with its dimensions as labels and the suffix _total`()
        throws
    {
        let counter = CoreMetrics.Counter(
            label: "orders", dimensions: [("kind", "book"), ("by", "web")], factory: factory)
        counter.increment()
        counter.increment(by: 41)
        try registry.expect(
            exactly: """
                # HELP orders_total Counter orders from swift-metrics.
                # TYPE orders_total counter
                orders_total{by="web",kind="book"} 42
                """, names: ["orders_total"])
    }

    @Test func `a counter whose label ends in _total keeps it`() throws {
        CoreMetrics.Counter(label: "orders_total", factory: factory).increment()
        try registry.expect("orders_total", 1)
    }

    @Test func `a floating-point counter keeps fractions`() throws {
        let counter = FloatingPointCounter(label: "joules", factory: factory)
        for _ in 0..<8 { counter.increment(by: 0.125) }
        counter.increment(by: 0.0625)
        try registry.expect("joules_total", 1.0625)
    }

    @Test func `a counter and a floating-point counter with one label are one metric`() throws {
        CoreMetrics.Counter(label: "work", factory: factory).increment(by: 2)
        FloatingPointCounter(label: "work", factory: factory).increment(by: 0.5)
        try registry.expect("work_total", 2.5)
    }

    @Test func `a meter is a gauge that can be set, incremented and decremented`() throws {
        let meter = Meter(label: "level", factory: factory)
        meter.set(10)
        meter.increment(by: 2.5)
        meter.decrement()
        try registry.expect("level", 11.5)
        meter.set(-0.25)
        try registry.expect("level", -0.25)
        #expect(try registry.exposition().families.first { $0.name == "level" }?.type == .gauge)
    }

    @Test func `a recorder that does not aggregate is a gauge, and so is a Gauge`() throws {
        Recorder(label: "last", aggregate: false, factory: factory).record(3)
        CoreMetrics.Gauge(label: "now", factory: factory).record(4.5)
        try registry.expect("last", 3)
        try registry.expect("now", 4.5)
    }

    @Test func `a recorder that aggregates is a histogram`() throws {
        let recorder = Recorder(label: "bytes", factory: factory)
        recorder.record(3)
        recorder.record(40.5)
        try registry.expect("bytes_bucket", ["le": "5.0"], 1)
        try registry.expect("bytes_bucket", ["le": "+Inf"], 2)
        try registry.expect("bytes_sum", 43.5)
    }

    @Test func `a timer is a histogram in seconds, whatever unit it prefers`() throws {
        let timer = CoreMetrics.Timer(
            label: "wait", preferredDisplayUnit: .milliseconds, factory: factory)
        timer.recordMilliseconds(20)
        timer.recordNanoseconds(1)
        try registry.expect("wait_seconds_sum", 0.020000001)
        try registry.expect("wait_seconds_bucket", ["le": "0.005"], 1)
        try registry.expect("wait_seconds_bucket", ["le": "0.025"], 2)
    }

    @Test func `a timer whose label ends in seconds keeps its name`() throws {
        CoreMetrics.Timer(label: "wait.seconds", factory: factory).recordSeconds(1)
        try registry.expect("wait_seconds_sum", 1)
    }

    @Test func `a reset counter restarts at zero`() throws {
        let counter = FloatingPointCounter(label: "c", factory: factory)
        counter.increment(by: 5.5)
        counter.reset()
        try registry.expect("c_total", 0)
        counter.increment()
        try registry.expect("c_total", 1)
    }

    @Test func `a reset counter is created at the time of the reset`() throws {
        let clock = ManualClock(secondsSinceEpoch: 1_000)
        let registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        let factory = OutriderMetricsFactory(registry: registry)
        let counter = CoreMetrics.Counter(
            label: "c", dimensions: [("a", "1")], factory: factory)
        let other = CoreMetrics.Counter(
            label: "c", dimensions: [("a", "2")], factory: factory)
        clock.advance(by: .seconds(60))
        counter.reset()
        other.increment()
        let text = registry.openMetricsText(creationTimes: true)
        #expect(text.contains("c_created{a=\"1\"} 1060"))
        #expect(text.contains("c_created{a=\"2\"} 1000"))
    }

    @Test func `invalid amounts are refused and counted`() throws {
        let counter = CoreMetrics.Counter(label: "c", factory: factory)
        counter.increment(by: -1)
        let fraction = FloatingPointCounter(label: "c", factory: factory)
        fraction.increment(by: Double.nan)
        fraction.increment(by: -0.5)
        CoreMetrics.Timer(label: "t", factory: factory).recordNanoseconds(-1)
        Meter(label: "m", factory: factory).increment(by: Double.infinity)
        Meter(label: "m", factory: factory).decrement(by: Double.nan)
        Recorder(label: "r", factory: factory).record(Double.nan)
        try registry.expect("c_total", 0)
        try registry.expect("t_seconds_count", 0)
        try registry.expect("m", 0)
        try registry.expect("r_count", 0)
        #expect(registry.observationsRefused("negative") == "3")
        #expect(registry.observationsRefused("not_a_number") == "3")
        #expect(registry.observationsRefused("infinite") == "1")
    }

    @Test func `a negative change of a meter goes in the other direction`() throws {
        let meter = Meter(label: "m", factory: factory)
        meter.increment(by: -2)
        meter.decrement(by: -5)
        try registry.expect("m", 3)
    }

    @Test func `the largest numbers of swift-metrics are recorded`() throws {
        CoreMetrics.Counter(label: "c", factory: factory).increment(by: Int64.max)
        CoreMetrics.Timer(label: "t", factory: factory).recordNanoseconds(Int64.max)
        Meter(label: "m", factory: factory).set(Int64.min)
        try registry.expect("c_total", 9.223372036854775807e18)
        try registry.expect("t_seconds_sum", 9_223_372_036.854775807)
        try registry.expect("m", -9.223372036854775808e18)
    }

    @Test func `a factory records the same behind a multiplex handler`() throws {
        let both = MultiplexMetricsHandler(factories: [factory, NOOPMetricsHandler.instance])
        let counter = CoreMetrics.Counter(label: "c", factory: both)
        counter.increment()
        try registry.expect("c_total", 1)
        counter.destroy()
        #expect(registry.value("c_total") == nil)
    }

    @Test func `after bootstrap, the factory records the metrics of the process`() async {
        await #expect(processExitsWith: .success) {
            let registry = Registry(hasOwnMetrics: false, log: .silent)
            MetricsSystem.bootstrap(OutriderMetricsFactory(registry: registry))
            CoreMetrics.Counter(label: "c", dimensions: [("a", "1")]).increment()
            CoreMetrics.Timer(label: "t").recordSeconds(2)
            try registry.expect("c_total", ["a": "1"], 1)
            try registry.expect("t_seconds_sum", 2)
        }
    }
}
