// SPDX-License-Identifier: Apache-2.0
// Tests of name clashes: the first metric is exposed, the second works unexposed, and nothing
// crashes.

import CoreMetrics
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct SwiftMetricsClashTests {
    private let recorded = RecordedLog()
    private let registry: Registry
    private let factory: OutriderMetricsFactory

    init() {
        registry = Registry(log: recorded.log)
        factory = OutriderMetricsFactory(registry: registry)
    }

    @Test func `series of one name may have different dimension names`() throws {
        for dimensions in [[], [("status", "200")], [("error", "timeout"), ("status", "500")]] {
            CoreMetrics.Counter(label: "http", dimensions: dimensions, factory: factory)
                .increment()
        }
        try registry.expect(
            exactly: """
                # HELP http_total Counter http from swift-metrics.
                # TYPE http_total counter
                http_total 1
                http_total{status="200"} 1
                http_total{error="timeout",status="500"} 1
                """, names: ["http_total"])
        #expect(recorded.lines.isEmpty)
    }

    @Test func `of two types with one name, the first is exposed and the second still works`()
        throws
    {
        Meter(label: "x", factory: factory).set(1)
        let timer = factory.makeRecorder(label: "x", dimensions: [("a", "1")], aggregate: true)
        timer.record(5 as Int64)
        timer.record(Double.nan)
        let counter = factory.makeCounter(label: "x", dimensions: [])
        counter.increment(by: 5)
        counter.reset()
        try registry.expect("x", 1)
        #expect(!registry.text().contains("x_bucket") && !registry.text().contains("x_total 5"))
    }

    @Test func `a clash is logged once and counted each time`() {
        Meter(label: "x", factory: factory).set(1)
        for _ in 0..<3 { Recorder(label: "x", factory: factory).record(1) }
        #expect(registry.registrationsRefused(.differentType) == "3")
        #expect(recorded.lines.count == 1)
        #expect(recorded.lines.first?.contains("\"x\"") == true)
    }

    @Test func `a handler that is not exposed is the same for the same label`() {
        Meter(label: "x", factory: factory).set(1)
        let first = factory.makeRecorder(label: "x", dimensions: [("a", "1")], aggregate: true)
        let second = factory.makeRecorder(label: "x", dimensions: [("a", "1")], aggregate: true)
        #expect(first === second)
        factory.destroyRecorder(first)
        #expect(registry.value("x") == 1)
    }

    @Test func `a name that another family's samples have is refused`() throws {
        Recorder(label: "x", factory: factory).record(1)
        CoreMetrics.Counter(label: "x.count", factory: factory).increment()
        Meter(label: "x_count", factory: factory).set(7)
        try registry.expect("x_count", 1)
        #expect(registry.registrationsRefused(.nameTaken) == "2")
    }

    @Test func `a directly registered metric is shared if type and labels match`() throws {
        let orders = registry.counter("orders", help: "Orders.", labels: ["kind", "by"])
        orders.with("book", "web").increment()
        let counter = CoreMetrics.Counter(
            label: "orders", dimensions: [("by", "web"), ("kind", "book")], factory: factory)
        counter.increment(by: 2)
        #expect(orders.with("book", "web").value == 3)
        let waits = registry.histogram("wait_seconds", help: "Waits.", buckets: [1])
        CoreMetrics.Timer(label: "wait", factory: factory).recordSeconds(1)
        #expect(waits.count == 1)
        #expect(recorded.lines.isEmpty)
    }

    @Test func `a directly registered metric keeps its labels`() throws {
        let orders = registry.counter("orders", help: "Orders.", labels: ["kind"])
        orders.with("book").increment()
        for dimensions in [[], [("by", "web")], [("by", "web"), ("kind", "book")]] {
            CoreMetrics.Counter(label: "orders", dimensions: dimensions, factory: factory)
                .increment()
        }
        try registry.expect(
            exactly: """
                # HELP orders_total Orders.
                # TYPE orders_total counter
                orders_total{kind="book"} 1
                """, names: ["orders_total"])
        #expect(registry.registrationsRefused(.differentLabels) == "3")
    }

    @Test func `destroying the handler of a shared series leaves the series in place`() {
        let orders = registry.counter("orders", help: "Orders.", labels: ["kind"])
        let counter = CoreMetrics.Counter(
            label: "orders", dimensions: [("kind", "book")], factory: factory)
        counter.increment()
        counter.destroy()
        orders.with("book").increment()
        #expect(registry.value("orders_total", ["kind": "book"]) == 2)
    }

    @Test func `a series that was removed directly is created again on request`() {
        let orders = registry.counter("orders", help: "Orders.", labels: ["kind"])
        let make = {
            CoreMetrics.Counter(
                label: "orders", dimensions: [("kind", "book")], factory: self.factory)
        }
        make().increment()
        orders.remove("book")
        make().increment()
        #expect(orders.with("book").value == 1)
        orders.removeAll()
        make().increment()
        #expect(registry.value("orders_total", ["kind": "book"]) == 1)
    }

    @Test func `a name used by swift-metrics is refused to direct registration`() throws {
        CoreMetrics.Counter(label: "orders", factory: factory).increment()
        registry.counter("orders", help: "Orders.").increment(by: 7)
        registry.counter("orders", help: "Orders.", labels: ["a"]).with("1").increment()
        try registry.expect("orders_total", 1)
        #expect(registry.registrationsRefused(.differentLabels) == "2")
    }

    @Test func `an unregistered name is available again`() {
        let kept = CoreMetrics.Counter(label: "x", factory: factory)
        kept.increment(by: 5)
        registry.unregister("x_total")
        CoreMetrics.Counter(label: "x", factory: factory).increment()
        #expect(registry.value("x_total") == 1)
        registry.unregister("x_total")
        registry.gauge("x", help: "X.").set(3)
        CoreMetrics.Counter(label: "x", factory: factory).increment()
        #expect(registry.value("x") == 3)
        registry.unregister("x")
        CoreMetrics.Counter(label: "x", factory: factory).increment()
        #expect(registry.value("x_total") == 1)
    }

    @Test func `names beyond the limit are refused and counted`() throws {
        for n in 0..<10_100 {
            CoreMetrics.Counter(label: "path.\(n)", factory: factory).increment()
        }
        #expect(registry.handlerCount == 10_000)
        #expect(registry.registrationsRefused(.tooManyNames) == "100")
        #expect(recorded.lines.count == 1)
        try registry.expect("path_9999_total", 1)
    }

    @Test func `handlers of directly removed series do not accumulate`() {
        let users = registry.gauge("users", help: "Users.", labels: ["id"])
        for n in 0..<5_000 {
            Meter(label: "users", dimensions: [("id", "\(n)")], factory: factory).set(1)
            users.remove("\(n)")
        }
        #expect(registry.handlerCount <= 2_048)
    }

    @Test func `a log handler may record a metric through the factory`() {
        let log = DiagnosticLog { _, _ in }
        let registry = Registry(log: log)
        let factory = OutriderMetricsFactory(registry: registry)
        log.setHandler { level, _ in
            CoreMetrics.Counter(
                label: "logged", dimensions: [("level", level.rawValue)], factory: factory
            ).increment()
        }
        Meter(label: "x", factory: factory).set(1)
        Recorder(label: "x", factory: factory).record(1)
        #expect(registry.value("logged_total", ["level": "error"]) == 1)
    }

    @Test func `label sets beyond the limit share one series, and the log suggests a remedy`()
        throws
    {
        for n in 0..<10_003 {
            CoreMetrics.Counter(label: "c", dimensions: [("n", "\(n)")], factory: factory)
                .increment()
        }
        // A label that happens to have the same name is not an overflow.
        CoreMetrics.Counter(label: "d", dimensions: [("overflow", "a")], factory: factory)
            .increment()
        try registry.expect("c_total", ["overflow": "_OVERFLOW"], 3)
        try registry.expect("d_total", ["overflow": "a"], 1)
        try registry.expect("outrider_series_overflowed_total", ["family": "c_total"], 3)
        #expect(
            recorded.lines == [
                """
                warning: metric "c_total" is at its limit of 10000 series; further label values share one \
                with the one label overflow="_OVERFLOW", so totals stay right. The label "n" has \
                the most values (10000): use fewer, or drop it. If it needs more series, register \
                it with its labels and a higher SeriesLimit before swift-metrics uses it; \
                outrider_series_overflowed_total counts these lookups
                """
            ])
    }
}
