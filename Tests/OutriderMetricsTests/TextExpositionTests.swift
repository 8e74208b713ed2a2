// SPDX-License-Identifier: Apache-2.0
// Tests of text format 0.0.4: families sorted by name, each with one header, in a stable order.

import OutriderMetrics
import Testing

@Suite struct TextExpositionTests {
    @Test func `families are sorted by name, each with one HELP and one TYPE`() {
        let registry = Registry.bare
        let zebra = registry.gauge("zebra", help: "Z.", labels: ["a"])
        zebra.with("2").set(2)
        zebra.with("1").set(1)
        registry.counter("mole", help: "M.").increment()
        registry.gauge("ant", help: "A.") { 1 }
        registry.info("newt", help: "N.", ["a": "1"])
        registry.histogram("bee", help: "B.", buckets: [1]).observe(2)
        #expect(
            registry.text() == """
                # HELP ant A.
                # TYPE ant gauge
                ant 1
                # HELP bee B.
                # TYPE bee histogram
                bee_bucket{le="1.0"} 0
                bee_bucket{le="+Inf"} 1
                bee_sum 2
                bee_count 1
                # HELP mole_total M.
                # TYPE mole_total counter
                mole_total 1
                # HELP newt_info N.
                # TYPE newt_info gauge
                newt_info{a="1"} 1
                # HELP zebra Z.
                # TYPE zebra gauge
                zebra{a="2"} 2
                zebra{a="1"} 1

                """)
    }

    @Test func `the order stays the same from scrape to scrape`() {
        let registry = Registry.bare
        for family in 0..<50 {
            let gauges = registry.gauge("g\(family)", help: "G.", labels: ["a"])
            for value in 0..<20 { gauges.with("\(value &* 7 % 20)").set(value) }
        }
        let first = registry.text()
        for _ in 0..<5 { #expect(registry.text() == first) }
        registry.gauge("g7", help: "G.", labels: ["a"]).with("3").set(0)
        let names = { (text: String) in
            text.split(separator: "\n").map { $0.prefix { $0 != " " } }
        }
        #expect(names(registry.text()) == names(first))
    }

    @Test func `removing series does not reorder the others`() {
        let registry = Registry.bare
        let family = registry.gauge("g", help: "G.", labels: ["n"])
        for n in 0..<1_000 { family.with("\(n)").set(n) }
        for n in 0..<1_000 where n % 10 != 0 { family.remove("\(n)") }
        var expected = "# HELP g G.\n# TYPE g gauge\n"
        for n in stride(from: 0, to: 1_000, by: 10) { expected += "g{n=\"\(n)\"} \(n)\n" }
        #expect(registry.text() == expected)
    }

    @Test func `the order of registration does not matter`() {
        let names = ["b", "a", "d_total", "c"]
        let forth = Registry.bare
        for name in names { forth.gauge(name, help: "X.").set(1) }
        let back = Registry.bare
        for name in names.reversed() { back.gauge(name, help: "X.").set(1) }
        #expect(forth.text() == back.text())
    }

    @Test func `an empty registry prints nothing`() {
        #expect(Registry.bare.text() == "")
    }

    @Test func `a registry that reports itself shows its refusals and scrape costs`() {
        let registry = Registry(log: .silent)
        _ = registry.text()
        let families = registry.text().split(separator: "\n")
            .filter { $0.hasPrefix("# TYPE ") }.map { $0.dropFirst("# TYPE ".count) }
        #expect(
            families == [
                "outrider_label_values_cut_total counter",
                "outrider_label_values_repaired_total counter",
                "outrider_log_lines_dropped_total counter",
                "outrider_observations_refused_total counter",
                "outrider_registrations_refused_total counter",
                "outrider_registry_series gauge",
                "outrider_scrape_bytes gauge",
                "outrider_scrape_duration_seconds histogram",
                "outrider_series gauge", "outrider_series_limit gauge",
            ])
    }

    @Test func `outrider_scrape_bytes is the body size of the last scrape`() {
        let registry = Registry(log: .silent)
        let size = registry.respond().body.count
        #expect(registry.sample("outrider_scrape_bytes") == "\(size)")
        #expect(registry.sample("outrider_scrape_duration_seconds_count") == "2")
    }

    @Test func `hundreds of families of every kind are all printed`() {
        let registry = Registry.bare
        var expected = ""
        for number in 100..<400 {
            registry.counter("c\(number)", help: "C.").increment(by: number)
            expected += "# HELP c\(number)_total C.\n# TYPE c\(number)_total counter\n"
            expected += "c\(number)_total \(number)\n"
        }
        for number in 100..<400 {
            let family = registry.histogram("h\(number)", help: "H.", labels: ["a"], buckets: [1])
            family.with("x").observe(Double(number))
            expected += "# HELP h\(number) H.\n# TYPE h\(number) histogram\n"
            expected += "h\(number)_bucket{a=\"x\",le=\"1.0\"} 0\n"
            expected += "h\(number)_bucket{a=\"x\",le=\"+Inf\"} 1\n"
            expected += "h\(number)_sum{a=\"x\"} \(number)\nh\(number)_count{a=\"x\"} 1\n"
        }
        let isSame = registry.text() == expected
        #expect(isSame)
    }
}
