// SPDX-License-Identifier: Apache-2.0
// Tests of the byte limits on labels: per value, per family and per registry.

import CoreMetrics
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct LabelBytesTests {
    private let heard = RecordedLog()

    private func registry(_ limits: LabelLimits = .default) -> Registry {
        Registry(labels: limits, log: heard.log)
    }

    private func long(_ number: Int, _ length: Int = 8_000) -> String {
        String(repeating: "x", count: length) + "\(number)"
    }

    /// The values of a label in a family's samples.
    private func values(of label: String, in family: String, _ registry: Registry) throws
        -> [String]
    {
        try Exposition(parsing: registry.text(), as: .text).families
            .first { $0.name == family }?.samples.compactMap { $0.labels[label] } ?? []
    }

    private func cuts(_ registry: Registry) -> String? {
        registry.sample("outrider_label_values_cut_total")
    }

    // MARK: - Limit of a value

    @Test func `a value of 1,024 bytes is kept, and a longer one is truncated to that`() throws {
        let registry = registry()
        let hits = registry.counter("hits", help: "Hits.", labels: ["agent"])
        let whole = String(repeating: "y", count: 1_024)
        hits.with(whole).increment()
        #expect(cuts(registry) == "0")
        hits.with(whole + "y").increment()
        #expect(cuts(registry) == "1")
        let shown = try values(of: "agent", in: "hits_total", registry)
        #expect(shown.count == 2)
        #expect(shown.contains(whole))
        let cut = try #require(shown.first { $0 != whole })
        #expect(cut.utf8.count == 1_024)
        #expect(cut.hasPrefix("yyyyyyyy"))
        #expect(heard.lines.count { $0.contains("outrider_label_values_cut_total") } == 1)
    }

    @Test func `long values that differ in their last character are different series`() throws {
        let registry = registry()
        let hits = registry.counter("hits", help: "Hits.", labels: ["agent"])
        for number in 0..<500 { hits.with(long(number)).increment() }
        for number in 0..<500 { hits.record(long(number)) { $0.increment() } }
        #expect(hits.count == 500)
        #expect(Set(try values(of: "agent", in: "hits_total", registry)).count == 500)
        #expect(cuts(registry) == "1000")
        #expect(registry.text().split(separator: "\n").count { $0.hasSuffix(" 2") } >= 500)
    }

    @Test(arguments: ["é", "€", "😀", "a\u{301}"], [1_000, 1_001, 1_002, 1_003, 1_004])
    func `a value is truncated at a character boundary`(character: String, start: Int) throws {
        let registry = registry()
        let hits = registry.gauge("g", help: "G.", labels: ["a"])
        hits.with(String(repeating: "x", count: start) + String(repeating: character, count: 50))
            .set(1)
        let shown = try #require(try values(of: "a", in: "g", registry).first)
        #expect(shown.utf8.count <= 1_024)
        #expect(!shown.contains("\u{FFFD}"))
        #expect(shown.unicodeScalars.suffix(17).first == "…")
    }

    @Test func `the hash is FNV-1a, so that a value is the same series in every process`() throws {
        let registry = registry(LabelLimits(valueLength: 64))
        registry.gauge("g", help: "G.", labels: ["a"]).with(String(repeating: "a", count: 65)).set(
            1)
        var hash: UInt64 = 14_695_981_039_346_656_037
        for _ in 0..<65 { hash = (hash ^ 97) &* 1_099_511_628_211 }
        let digits = String(hash, radix: 16)
        let expected =
            String(repeating: "a", count: 64 - 19) + "…"
            + String(repeating: "0", count: 16 - digits.count) + digits
        #expect(try values(of: "a", in: "g", registry) == [expected])
    }

    @Test func `a long value removes the series that it created`() {
        let registry = registry()
        let hits = registry.counter("hits", help: "Hits.", labels: ["a", "b"])
        hits.with(long(1), "x").increment()
        hits.with(long(2), "x").increment()
        #expect(hits.remove(long(1), "x"))
        #expect(hits.removeAll(matching: ["a": long(2)]) == 1)
        #expect(hits.count == 0)
    }

    @Test func `values of an info and of a collector are truncated`() throws {
        let registry = registry()
        registry.info("app", help: "App.", ["v": "1"]).set(["v": long(1)])
        let depth = CollectedFamily.gauge("depth", help: "D.", labels: ["queue"])
        registry.add(
            TestCollector(families: [depth]) { samples in
                samples.add(depth, 1, long(1))
                samples.add(depth, 2, long(2))
            })
        #expect(try values(of: "v", in: "app_info", registry).map(\.utf8.count) == [1_024])
        #expect(try values(of: "queue", in: "depth", registry).map(\.utf8.count) == [1_024, 1_024])
    }

    @Test func `a collector has at most 16 MiB of labels per family`() {
        let registry = registry()
        let depth = CollectedFamily.gauge("depth", help: "D.", labels: ["a", "b", "c", "d"])
        registry.add(
            TestCollector(families: [depth]) { samples in
                let text = String(repeating: "x", count: 1_000)
                for number in 0..<6_000 { samples.add(depth, 1, text, text, text, "\(number)") }
            })
        let size = registry.respond(names: ["depth"]).body.count
        #expect(size > 15 << 20)
        #expect(size < 18 << 20)
        #expect(registry.unregister("depth"))
        #expect(Int(registry.observationsRefused("label_bytes") ?? "") ?? 0 > 0)
    }

    @Test func `a long dimension of swift-metrics is truncated, and found again`() {
        let registry = registry()
        let factory = OutriderMetricsFactory(registry: registry)
        for _ in 0..<3 {
            for number in 0..<20 {
                CoreMetrics.Counter(
                    label: "c", dimensions: [("agent", long(number))], factory: factory
                ).increment()
            }
        }
        #expect(registry.handlerCount == 20)
        #expect(cuts(registry) == "60")
        #expect(registry.text().split(separator: "\n").count { $0.hasPrefix("c_total{") } == 20)
    }

    // MARK: - Limits of a family and a registry

    @Test func `label sets beyond a family's byte limit go to its overflow series and are counted`()
    {
        let registry = registry()
        let hits = registry.counter(
            "hits", help: "Hits.", labels: ["a"], limit: SeriesLimit(labelBytes: 1_000))
        // `a="…"` takes 100 bytes.
        let values = (10..<30).map { "\($0)" + String(repeating: "x", count: 94) }
        for value in values { hits.with(value).increment() }
        #expect(hits.count == 11)
        #expect(registry.sample(#"hits_total{a="_OVERFLOW"}"#) == "10")
        #expect(registry.sample(#"outrider_series_overflowed_total{family="hits_total"}"#) == "10")
        #expect(
            registry.overflowNotices.first?.contains("1000 bytes of labels in a scrape") == true)
        // Existing series remain, and removed ones make room.
        hits.with(values[0]).increment()
        #expect(hits.count == 11)
        hits.removeAll()
        for value in values.prefix(9) { hits.with(value).increment() }
        #expect(hits.count == 9)
    }

    @Test func `a histogram's labels count once per printed line`() {
        let registry = registry()
        let waits = registry.histogram(
            "wait", help: "W.", labels: ["a"], buckets: [1, 2],
            limit: SeriesLimit(labelBytes: 1_000))
        for number in 10..<30 {
            waits.with("\(number)" + String(repeating: "x", count: 94)).observe(1)
        }
        // Two buckets, `+Inf`, sum and count.
        #expect(waits.count == 3)
        #expect(registry.sample(#"wait_count{a="_OVERFLOW"}"#) == "18")
    }

    @Test func `families share their registry's byte limit, except for 64 KiB each`() {
        let registry = registry(LabelLimits(bytes: 100_000))
        let text = String(repeating: "x", count: 990)
        func fill(_ name: String) -> Family<OutriderMetrics.Counter> {
            let family = registry.counter(name, help: "C.", labels: ["a"])
            for number in 1_000..<1_300 { family.with("\(number)\(text)").increment() }
            return family
        }
        let first = fill("first")
        let second = fill("second")
        // 165,536 bytes, and 65,536.
        #expect((150...166).contains(first.count))
        #expect((60...67).contains(second.count))
        #expect(registry.sample(#"second_total{a="_OVERFLOW"}"#) == "\(301 - second.count)")
        // Removed series make room for those of other families.
        first.removeAll()
        #expect((150...166).contains(fill("third").count))
    }

    @Test func `an unregistered family releases its bytes`() {
        let registry = registry(LabelLimits(bytes: 100_000))
        let text = String(repeating: "x", count: 990)
        for turn in 0..<20 {
            let family = registry.counter("f\(turn)", help: "C.", labels: ["a"])
            for number in 1_000..<1_140 { family.with("\(number)\(text)").increment() }
            #expect(family.count == 140)
            registry.unregister("f\(turn)")
        }
    }

    @Test func `the longest labels keep a scrape within the limits`() {
        let registry = registry()
        for name in ["one", "two", "three"] {
            let family = registry.histogram(name, help: "H.", labels: ["agent"])
            for number in 0..<1_300 { family.with("\(number)" + long(number)).observe(0.1) }
        }
        let size = registry.respond().body.count
        // The labels, plus some 60 bytes for each of 14 lines.
        #expect(size < (32 << 20) + 4 << 20)
        #expect(registry.sample(#"three_count{agent="_OVERFLOW"}"#) != nil)
    }
}
