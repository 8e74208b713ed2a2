// SPDX-License-Identifier: Apache-2.0
// Tests of accepted definitions: repeated in either form, they return the same metric.

import OutriderMetrics
import Testing

@Suite struct RegistrationTests {
    @Test func `repeating a definition returns the same metric`() throws {
        let registry = Registry.bare
        registry.counter("c", help: "C.").increment()
        try registry.register(counter: "c", help: "C.").increment()
        registry.gauge("g", help: "G.").set(1)
        try registry.register(gauge: "g", help: "G.").increment()
        registry.histogram("h", help: "H.", buckets: [1]).observe(0.5)
        try registry.register(histogram: "h", help: "H.", buckets: [1, .infinity]).observe(0.5)
        registry.info("i", help: "I.", ["a": "1"])
        try registry.register(info: "i", help: "I.", ["a": "1"])
        #expect(
            registry.text() == """
                # HELP c_total C.
                # TYPE c_total counter
                c_total 2
                # HELP g G.
                # TYPE g gauge
                g 2
                # HELP h H.
                # TYPE h histogram
                h_bucket{le="1.0"} 2
                h_bucket{le="+Inf"} 2
                h_sum 1
                h_count 2
                # HELP i_info I.
                # TYPE i_info gauge
                i_info{a="1"} 1

                """)
    }

    @Test func `repeating a definition returns the same family`() throws {
        let registry = Registry.bare
        let counters = registry.counter("c", help: "C.", labels: ["a"])
        #expect(
            try registry.register(counter: "c_total", help: "C.", labels: ["a"]).with("1")
                === counters.with("1"))
        let gauges = registry.gauge("g", help: "G.", labels: ["a"])
        #expect(
            try registry.register(gauge: "g", help: "G.", labels: ["a"]).with("1")
                === gauges.with("1"))
        let histograms = registry.histogram("h", help: "H.", labels: ["a"])
        #expect(
            try registry.register(histogram: "h", help: "H.", labels: ["a"]).with("1")
                === histograms.with("1"))
    }

    @Test(arguments: ["orders", "orders_total"])
    func `the suffix _total is optional and never doubled`(name: String) throws {
        let registry = Registry.bare
        registry.counter("orders", help: "Orders.").increment()
        registry.counter("orders_total", help: "Orders.").increment()
        try registry.register(counter: name, help: "Orders.").increment()
        #expect(
            registry.text() == """
                # HELP orders_total Orders.
                # TYPE orders_total counter
                orders_total 3

                """)
    }

    @Test func `the name _total is not doubled`() {
        let registry = Registry.bare
        registry.counter("_total", help: "Odd.").increment()
        #expect(registry.sample("_total_total") == nil)
    }

    @Test func `a gauge may end in _total, and keeps its name`() {
        let registry = Registry.bare
        registry.gauge("seats_total", help: "Seats.").set(4)
        #expect(registry.sample("seats_total") == "4")
        #expect(registry.sample("seats_total_total") == nil)
    }

    @Test(arguments: ["a", "A_:9", "_", ":", "_a", "ns:job:rate5m", "totally_total_fine"])
    func `names of the Prometheus data model are accepted`(name: String) throws {
        let registry = Registry.bare
        try registry.register(gauge: name, help: "X.").set(1)
        #expect(registry.sample(name) == "1")
    }

    @Test(arguments: ["a", "_a", "A9", "_", "les", "quantiles", "job", "instance"])
    func `label names of the Prometheus data model are accepted`(label: String) throws {
        let registry = Registry.bare
        try registry.register(gauge: "x", help: "X.", labels: [label]).with("1").set(2)
        #expect(registry.sample("x{\(label)=\"1\"}") == "2")
    }

    @Test func `an accepted registration is not counted as a refusal and not logged`() {
        let recorded = RecordedLog()
        let registry = Registry(log: recorded.log)
        _ = registry.counter("c", help: "C.", labels: ["a"])
        _ = registry.counter("c_total", help: "C.", labels: ["a"])
        let refusals = registry.text().split(separator: "\n")
            .filter { $0.hasPrefix("outrider_registrations_refused_total{") }
        #expect(!refusals.isEmpty)
        #expect(refusals.allSatisfy { $0.hasSuffix(" 0") })
        #expect(recorded.lines == [])
    }

    @Test func `a throwing registration that is refused is neither counted nor logged`() {
        let recorded = RecordedLog()
        let registry = Registry(log: recorded.log)
        #expect(throws: RegistrationError.self) {
            try registry.register(counter: "9", help: "Nine.")
        }
        #expect(registry.registrationsRefused(.invalidMetricName) == "0")
        #expect(recorded.lines == [])
    }

    @Test func `separate registries are independent of each other and of the shared one`() {
        let name = "outrider_test_of_the_shared_registry"
        defer { Registry.shared.unregister(name) }
        Registry.shared.gauge(name, help: "Shared.").set(1)
        let first = Registry.bare
        first.gauge(name, help: "First.").set(2)
        let second = Registry.bare
        // By name, since other tests register collectors there.
        let shared = String(decoding: Registry.shared.respond(names: [name]).body, as: UTF8.self)
        #expect(shared.hasSuffix("\n\(name) 1\n"))
        #expect(first.text() == "# HELP \(name) First.\n# TYPE \(name) gauge\n\(name) 2\n")
        #expect(second.text() == "")
    }
}
