// SPDX-License-Identifier: Apache-2.0
// Tests of names: any text is accepted as a label or dimension and becomes a valid Prometheus name.

import CoreMetrics
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct SwiftMetricsNamingTests {
    private let registry = Registry(log: .silent)
    private let factory: OutriderMetricsFactory

    init() {
        factory = OutriderMetricsFactory(registry: registry)
    }

    @Test(arguments: [
        ("http.server.requests", "http_server_requests_total"), ("a-b", "a_b_total"),
        ("a:b", "a:b_total"), ("9lives", "_9lives_total"), ("", "__total"), ("é", "__total"),
        ("größe", "gr__e_total"), ("a\nb", "a_b_total"), ("a\r\nb", "a_b_total"),
        ("a b{c=\"d\"}", "a_b_c__d___total"), ("already_total", "already_total"),
        ("ünd.total", "_nd_total"), ("camelCase", "camelCase_total"),
    ])
    func `a label becomes a valid metric name`(label: String, name: String) throws {
        CoreMetrics.Counter(label: label, factory: factory).increment()
        try registry.expect(name, 1)
    }

    @Test(arguments: [
        ("a.b", "a_b"), ("9", "_9"), ("", "_"), ("le", "exported_le"),
        ("quantile", "exported_quantile"), ("__name__", "exported___name__"),
        ("--", "exported___"), ("a:b", "a_b"), ("👍", "_"), ("job", "job"),
    ])
    func `a dimension becomes a valid label name`(given: String, name: String) throws {
        Recorder(label: "r", dimensions: [(given, "1")], factory: factory).record(1)
        try registry.expect("r_count", [name: "1"], 1)
    }

    @Test func `any text is a valid dimension value`() throws {
        let values = ["", "a\"b", "\\", "\n", "a\\nb", "é", "\u{0}", "evil\nmetric 42", "{}", ",="]
        for value in values {
            CoreMetrics.Counter(label: "c", dimensions: [("v", value)], factory: factory)
                .increment()
        }
        for value in values {
            try registry.expect("c_total", value.isEmpty ? [:] : ["v": value], 1)
        }
    }

    @Test func `labels that become the same name are one metric`() throws {
        let dotted = factory.makeCounter(label: "a.b", dimensions: [("x.y", "1")])
        let dashed = factory.makeCounter(label: "a-b", dimensions: [("x-y", "1")])
        #expect(dotted === dashed)
        dotted.increment(by: 1)
        dashed.increment(by: 1)
        try registry.expect("a_b_total", ["x_y": "1"], 2)
    }

    @Test func `dimensions that become one label are joined, in any order`() throws {
        let first = factory.makeCounter(label: "c", dimensions: [("x.y", "1"), ("x-y", "2")])
        let second = factory.makeCounter(label: "c", dimensions: [("x-y", "2"), ("x.y", "1")])
        #expect(first === second)
        first.increment(by: 1)
        try registry.expect("c_total", ["x_y": "2;1"], 1)
    }

    @Test func `verbatim names have no suffix`() throws {
        let factory = OutriderMetricsFactory(
            registry: registry, configuration: .swiftPrometheus)
        CoreMetrics.Counter(label: "orders", factory: factory).increment()
        CoreMetrics.Counter(label: "sold_total", factory: factory).increment()
        CoreMetrics.Timer(label: "wait", factory: factory).recordSeconds(1)
        CoreMetrics.Counter(label: "9lives.left", factory: factory).increment()
        try registry.expect("orders", 1)
        try registry.expect("sold_total", 1)
        try registry.expect("wait_sum", 1)
        try registry.expect("_lives_left", 1)
        let exposition = try registry.exposition()
        #expect(exposition.families.first { $0.name == "orders" }?.type == .counter)
    }

    @Test func `a verbatim counter has the same name in OpenMetrics`() throws {
        let factory = OutriderMetricsFactory(
            registry: registry, configuration: .swiftPrometheus)
        CoreMetrics.Counter(label: "orders", factory: factory).increment()
        let exposition = try Exposition(parsing: registry.openMetricsText(), as: .openMetrics)
        try exposition.expect("orders", 1)
    }

    @Test func `a verbatim counter and an OpenMetrics counter cannot share a name`() throws {
        let factory = OutriderMetricsFactory(
            registry: registry, configuration: .swiftPrometheus)
        CoreMetrics.Counter(label: "orders", factory: factory).increment()
        let other = registry.counter("orders_total", help: "Orders.")
        other.increment(by: 5)
        try registry.expect("orders", 1)
        #expect(registry.value("orders_total") == nil)
        #expect(registry.registrationsRefused(.nameTaken) == "1")
    }
}
