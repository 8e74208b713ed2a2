// SPDX-License-Identifier: Apache-2.0
// Tests of the series limit: label sets beyond it share one series, and totals stay correct.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct SeriesLimitTests {
    private let heard = RecordedLog()
    private let registry: Registry

    init() {
        registry = Registry(log: heard.log)
    }

    private func counter(_ count: Int, labels: [String] = ["user"]) -> Family<Counter> {
        registry.counter("hits", help: "Hits.", labels: labels, limit: SeriesLimit(count: count))
    }

    private func overflows(of family: String = "hits_total") -> String? {
        registry.sample(#"outrider_series_overflowed_total{family="\#(family)"}"#)
    }

    @Test func `lookups beyond the limit return one series, and totals stay correct`() throws {
        let hits = counter(3, labels: ["user", "path"])
        for n in 0..<10 { hits.with("u\(n)", "/").increment() }
        #expect(hits.count == 4)
        #expect(registry.sample(#"hits_total{path="/",user="u2"}"#) == "1")
        #expect(registry.sample(#"hits_total{path="/",user="u3"}"#) == nil)
        #expect(registry.sample(#"hits_total{path="_OVERFLOW",user="_OVERFLOW"}"#) == "7")
        let exposition = try Exposition(parsing: registry.text(), as: .text)
        #expect(exposition.families.first { $0.name == "hits_total" }?.samples.count == 4)
    }

    @Test func `series that exist when the limit is reached are still found`() {
        let hits = counter(2)
        let first = hits.with("a")
        _ = hits.with("b")
        _ = hits.with("c")
        #expect(hits.with("a") === first)
        #expect(overflows() == "1")
    }

    @Test func `each lookup of the overflow series is counted, and held instruments are not`() {
        let hits = counter(1)
        _ = hits.with("a")
        #expect(overflows() == nil)
        let kept = hits.with("b")
        for _ in 0..<100 { kept.increment() }
        #expect(overflows() == "1")
        _ = hits.with("b")
        _ = hits.with("c")
        #expect(overflows() == "3")
        #expect(hits.with("d") === kept)
    }

    @Test func `the default limit is 10,000 series per family of any kind`() {
        let gauges = registry.gauge("g", help: "G.", labels: ["n"])
        let histograms = registry.histogram("h", help: "H.", labels: ["n"], buckets: [1])
        for n in 0..<10_005 {
            gauges.with("\(n)").increment()
            histograms.with("\(n)").observe(2)
        }
        #expect(gauges.count == 10_001)
        #expect(histograms.count == 10_001)
        #expect(registry.sample(#"g{n="_OVERFLOW"}"#) == "5")
        #expect(registry.sample(#"h_count{n="_OVERFLOW"}"#) == "5")
        #expect(overflows(of: "g") == "5")
        #expect(overflows(of: "h") == "5")
    }

    @Test(arguments: [0, -1, .min])
    func `a limit below one is raised to one`(count: Int) {
        let hits = counter(count)
        _ = hits.with("a")
        _ = hits.with("b")
        #expect(hits.count == 2)
        #expect(registry.sample(#"hits_total{user="a"}"#) == "0")
    }

    @Test func `removing series makes room`() {
        let hits = counter(2)
        for name in ["a", "b", "c"] { hits.with(name).increment() }
        hits.remove("a")
        hits.with("d").increment()
        #expect(registry.sample(#"hits_total{user="d"}"#) == "1")
        hits.with("e").increment()
        #expect(registry.sample(#"hits_total{user="_OVERFLOW"}"#) == "2")
        hits.removeAll()
        #expect(hits.count == 0)
        for name in ["v", "w", "x"] { hits.with(name).increment() }
        #expect(registry.sample(#"hits_total{user="_OVERFLOW"}"#) == "1")
        #expect(hits.count == 3)
    }

    @Test func `a removed overflow series is created again and does not free a slot`() {
        let hits = counter(1)
        for name in ["a", "b"] { hits.with(name).increment() }
        #expect(hits.remove("_OVERFLOW"))
        hits.with("c").increment()
        #expect(hits.count == 2)
        #expect(registry.sample(#"hits_total{user="_OVERFLOW"}"#) == "1")
    }

    @Test func `rebuilding the table after many removals keeps the overflow series separate`() {
        let hits = counter(100)
        for n in 0..<101 { hits.with("\(n)").increment() }
        for n in 0..<95 { hits.remove("\(n)") }
        for n in 200..<300 { hits.with("\(n)").increment() }
        #expect(hits.count == 101)
        #expect(registry.sample(#"hits_total{user="_OVERFLOW"}"#) == "6")
    }

    @Test func `a label value of _OVERFLOW is the overflow series and is valid`() {
        let hits = counter(2)
        let own = hits.with("_OVERFLOW")
        own.increment()
        hits.with("a").increment()
        hits.with("b").increment()
        #expect(overflows() == nil)
        #expect(hits.with("c") === own)
        #expect(hits.with("_OVERFLOW") === own)
        #expect(overflows() == "1")
        #expect(hits.count == 3)
        #expect(registry.text().split(separator: "\n").count { $0.contains("_OVERFLOW") } == 1)
    }

    @Test func `a family that is registered again keeps its first limit`() throws {
        let first = counter(1)
        let again = try registry.register(
            counter: "hits", help: "Hits.", labels: ["user"], limit: SeriesLimit(count: 5))
        for name in ["a", "b", "c"] { again.with(name).increment() }
        #expect(first.count == 2)
        #expect(heard.lines.allSatisfy { $0.hasPrefix("warning") })
    }

    @Test func `the limit applies to each kind of family, in both forms`() throws {
        let limit = SeriesLimit(count: 1)
        let one = try registry.register(gauge: "g", help: "G.", labels: ["n"], limit: limit)
        let two = try registry.register(
            histogram: "h", help: "H.", labels: ["n"], buckets: [1], limit: limit)
        let three = registry.gauge("g2", help: "G.", labels: ["n"], limit: limit)
        let four = registry.histogram("h2", help: "H.", labels: ["n"], limit: limit)
        for n in 0..<3 {
            _ = (one.with("\(n)"), two.with("\(n)"), three.with("\(n)"), four.with("\(n)"))
        }
        #expect([one.count, two.count, three.count, four.count] == [2, 2, 2, 2])
    }

    @Test func `an info accepts any number of values in succession`() {
        let info = registry.info("leader", help: "Who leads.", ["node": "0"])
        for n in 0..<20_000 { info.set(["node": "\(n)"]) }
        info.set(["node": "_OVERFLOW"])
        #expect(registry.sample(#"leader_info{node="_OVERFLOW"}"#) == "1")
        #expect(overflows(of: "leader_info") == nil)
    }

    @Test func `a family without labels has one series, whatever the limit`() {
        let hits = counter(1, labels: [])
        hits.with([]).increment()
        hits.overflow().increment()
        #expect(registry.sample("hits_total") == "2")
        #expect(hits.count == 1)
    }

    @Test func `a direct use of the overflow series is counted`() {
        let hits = counter(5)
        hits.overflow().increment()
        #expect(registry.sample(#"hits_total{user="_OVERFLOW"}"#) == "1")
        #expect(overflows() == "1")
        for n in 0..<5 { hits.with("\(n)").increment() }
        #expect(overflows() == "1")
        #expect(hits.count == 6)
    }

    @Test func `the log names the label with the most values once, with a remedy`() {
        let hits = counter(20, labels: ["method", "user"])
        for n in 0..<100 { hits.with(n % 2 == 0 ? "GET" : "PUT", "secret\(n)").increment() }
        #expect(
            heard.lines == [
                """
                warning: metric "hits_total" is at its limit of 20 series; further label values share one in \
                which every label is "_OVERFLOW", so totals stay right. The label "user" has the \
                most values (20): use fewer, or drop it. If it needs more series, register it with \
                a higher SeriesLimit; outrider_series_overflowed_total counts these lookups
                """
            ])
    }

    @Test func `the notice has the limit, the lookups, and three values of that label`() {
        let hits = counter(5, labels: ["method", "user"])
        for n in 0..<9 { hits.with("GET", "u\(n)").increment() }
        #expect(
            registry.overflowNotices == [
                """
                hits_total is at its limit of 5 series. 4 lookups got its overflow series instead. \
                The label user has the most values (5): "u4", "u3", "u2", …
                """
            ])
    }

    @Test func `a value in a notice is short and has no control or direction characters`() {
        let hits = counter(2)
        let long = String(repeating: "\\\"", count: 500)
        for value in ["\u{202E}a\nb\u{0}\u{85}", long, "more"] { hits.with(value).increment() }
        let shown = String(repeating: "\\\"", count: 30)
        #expect(
            registry.overflowNotices.first?.hasSuffix(
                #"(2): "\#(shown)…", "\#u{FFFD}a\#u{FFFD}b\#u{FFFD}\#u{FFFD}""#) == true)
    }

    @Test func `notices beyond twenty families are summarized`() {
        for n in 0..<25 {
            let family = registry.gauge("g\(n)", help: "", labels: ["n"], limit: .init(count: 1))
            for value in ["a", "b"] { _ = family.with(value) }
        }
        #expect(registry.overflowNotices.count == 21)
        #expect(registry.overflowNotices.last == "5 more families reached their limits.")
    }

    @Test func `a family's overflow counts are removed with it`() {
        let hits = counter(1)
        for name in ["a", "b", "c"] { _ = hits.with(name) }
        #expect(overflows() == "2")
        registry.unregister("hits")
        #expect(overflows() == nil)
        #expect(registry.overflowNotices == [])
        _ = counter(1).with("a")
        #expect(overflows() == nil)
    }

    @Test func `a registry that does not report itself limits its series too`() {
        let hits = Registry.bare.counter("hits", help: "", labels: ["n"], limit: .init(count: 2))
        for n in 0..<100 { hits.with("\(n)").increment() }
        #expect(hits.count == 3)
    }
}
