// SPDX-License-Identifier: Apache-2.0
// One name for two things: the first is exposed, the second works unseen, and nothing crashes.

import CoreMetrics
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct SwiftMetricsClashTests {
    private let told = RecordedLog()
    private let registry: Registry
    private let factory: OutriderMetricsFactory

    init() {
        registry = Registry(log: told.log)
        factory = OutriderMetricsFactory(registry: registry)
    }

    @Test func `series of one name may differ in the names of their dimensions`() throws {
        for dimensions in [[], [("status", "200")], [("error", "timeout"), ("status", "500")]] {
            CoreMetrics.Counter(label: "http", dimensions: dimensions, factory: factory)
                .increment()
        }
        try registry.expect(
            exactly: """
                # HELP http_total Counter http of swift-metrics.
                # TYPE http_total counter
                http_total 1
                http_total{status="200"} 1
                http_total{error="timeout",status="500"} 1
                """, names: ["http_total"])
        #expect(told.lines.isEmpty)
    }

    @Test func `of two types with one name the first is exposed and the second works`() throws {
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

    @Test func `a clash is told once and counted each time`() {
        Meter(label: "x", factory: factory).set(1)
        for _ in 0..<3 { Recorder(label: "x", factory: factory).record(1) }
        #expect(registry.registrationsRefused(.differentType) == "3")
        #expect(told.lines.count == 1)
        #expect(told.lines.first?.contains("\"x\"") == true)
    }

    @Test func `a handler that is not exposed is the same for the same label`() {
        Meter(label: "x", factory: factory).set(1)
        let first = factory.makeRecorder(label: "x", dimensions: [("a", "1")], aggregate: true)
        let second = factory.makeRecorder(label: "x", dimensions: [("a", "1")], aggregate: true)
        #expect(first === second)
        factory.destroyRecorder(first)
        #expect(registry.value("x") == 1)
    }

    @Test func `a name whose samples another family has is refused`() throws {
        Recorder(label: "x", factory: factory).record(1)
        CoreMetrics.Counter(label: "x.count", factory: factory).increment()
        Meter(label: "x_count", factory: factory).set(7)
        try registry.expect("x_count", 1)
        #expect(registry.registrationsRefused(.nameTaken) == "2")
    }

    @Test func `a metric of the direct API is shared where type and labels are the same`() throws {
        let orders = registry.counter("orders", help: "Orders.", labels: ["kind", "by"])
        orders.with("book", "web").increment()
        let counter = CoreMetrics.Counter(
            label: "orders", dimensions: [("by", "web"), ("kind", "book")], factory: factory)
        counter.increment(by: 2)
        #expect(orders.with("book", "web").value == 3)
        let waits = registry.histogram("wait_seconds", help: "Waits.", buckets: [1])
        CoreMetrics.Timer(label: "wait", factory: factory).recordSeconds(1)
        #expect(waits.count == 1)
        #expect(told.lines.isEmpty)
    }

    @Test func `a metric of the direct API keeps its labels`() throws {
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

    @Test func `destroying a shared series leaves it to the direct API`() {
        let orders = registry.counter("orders", help: "Orders.", labels: ["kind"])
        let counter = CoreMetrics.Counter(
            label: "orders", dimensions: [("kind", "book")], factory: factory)
        counter.increment()
        counter.destroy()
        orders.with("book").increment()
        #expect(registry.value("orders_total", ["kind": "book"]) == 2)
    }

    @Test func `a series that the direct API removed is made again when it is asked for`() {
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

    @Test func `a name that swift-metrics has is refused to the direct API`() throws {
        CoreMetrics.Counter(label: "orders", factory: factory).increment()
        registry.counter("orders", help: "Orders.").increment(by: 7)
        registry.counter("orders", help: "Orders.", labels: ["a"]).with("1").increment()
        try registry.expect("orders_total", 1)
        #expect(registry.registrationsRefused(.differentLabels) == "2")
    }

    @Test func `a name that is let go is there for the next who asks`() {
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

    @Test func `names from the network stop at a limit and are counted from there`() throws {
        for n in 0..<10_100 {
            CoreMetrics.Counter(label: "path.\(n)", factory: factory).increment()
        }
        #expect(registry.handlerCount == 10_000)
        #expect(registry.registrationsRefused(.tooManyNames) == "100")
        #expect(told.lines.count == 1)
        try registry.expect("path_9999_total", 1)
    }

    @Test func `handlers whose series the direct API removed do not pile up`() {
        let users = registry.gauge("users", help: "Users.", labels: ["id"])
        for n in 0..<5_000 {
            Meter(label: "users", dimensions: [("id", "\(n)")], factory: factory).set(1)
            users.remove("\(n)")
        }
        #expect(registry.handlerCount <= 2_048)
    }

    @Test func `a log that records a metric through the factory ends in no knot`() {
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

    @Test func `series of a name past the limit share one, and the log tells the way out`() throws {
        for n in 0..<10_003 {
            CoreMetrics.Counter(label: "c", dimensions: [("n", "\(n)")], factory: factory)
                .increment()
        }
        // A label that is called the same is no overflow.
        CoreMetrics.Counter(label: "d", dimensions: [("overflow", "a")], factory: factory)
            .increment()
        try registry.expect("c_total", ["overflow": "_OVERFLOW"], 3)
        try registry.expect("d_total", ["overflow": "a"], 1)
        try registry.expect("outrider_series_overflowed_total", ["family": "c_total"], 3)
        #expect(
            told.lines == [
                """
                warning: metric "c_total" may have 10000 series; further label values share one \
                with the one label overflow="_OVERFLOW", so totals stay right. The label "n" has \
                the most values (10000): give it fewer, or none. If it needs more series, register \
                it with its labels and a higher SeriesLimit before swift-metrics asks for it; \
                outrider_series_overflowed_total counts
                """
            ])
    }
}
