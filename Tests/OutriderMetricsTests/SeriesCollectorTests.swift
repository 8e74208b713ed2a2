// SPDX-License-Identifier: Apache-2.0
// Tests of the metrics on the number of series, which show a family before it reaches its limit.

import OutriderMetrics
import Testing

@Suite struct SeriesCollectorTests {
    private let registry = Registry(log: .silent)

    private func family(_ name: String, limit: Int, series: Int) -> Family<Counter> {
        let family = registry.counter(
            name, help: "F.", labels: ["n"], limit: SeriesLimit(count: limit))
        for number in 0..<series { family.with("\(number)").increment() }
        return family
    }

    /// The lines of the families in a test.
    private func lines(_ prefix: String) -> [Substring] {
        registry.text().split(separator: "\n").filter {
            $0.hasPrefix(prefix) && !$0.contains("outrider_collector")
        }
    }

    @Test func `a family is listed with its limit, before and after it overflows`() {
        let hits = family("hits", limit: 10, series: 9)
        #expect(registry.sample(#"outrider_series{family="hits_total"}"#) == "9")
        #expect(registry.sample(#"outrider_series_limit{family="hits_total"}"#) == "10")
        for number in 0..<20 { hits.with("\(number)").increment() }
        // The overflow series is not part of the limit.
        #expect(registry.sample(#"outrider_series{family="hits_total"}"#) == "11")
        hits.removeAll()
        #expect(registry.sample(#"outrider_series{family="hits_total"}"#) == "0")
    }

    @Test func `of many families, those closest to their limits are listed`() {
        for number in 1...30 { _ = family("f\(number)", limit: 100, series: number) }
        // Few series, but closer to its limit than all others.
        _ = family("small", limit: 2, series: 2)
        let shown = lines("outrider_series{")
        #expect(shown.count == 20)
        // Sorted by name, so that the order stays while the values change.
        #expect(shown.first == #"outrider_series{family="f12_total"} 12"#)
        #expect(shown.last == #"outrider_series{family="small_total"} 2"#)
        #expect(lines("outrider_series_limit{").count == 20)
    }

    @Test func `the series of all instruments are counted together`() throws {
        func total() throws -> Int {
            try #require(registry.sample("outrider_registry_series").flatMap { Int($0) })
        }
        let before = try total()
        _ = family("hits", limit: 100, series: 40)
        registry.gauge("g", help: "G.").set(1)
        registry.info("i", help: "I.", ["a": "b"])
        #expect(try total() == before + 42)
    }

    @Test func `a registry that does not report itself omits these metrics`() {
        let registry = Registry.bare
        _ = registry.counter("hits", help: "H.", labels: ["n"]).with("a")
        #expect(!registry.text().contains("outrider_"))
    }
}
