// SPDX-License-Identifier: Apache-2.0
// Tests of several scrapers over hours of virtual time: each one's sum is what was observed,
// whatever the others read.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct ReaderTests {
    private let clock = ManualClock()
    private let registry: Registry

    init() {
        registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
    }

    /// Two readers of each format, with different intervals.
    private let readers = [
        Reader(.text, every: 10), Reader(.text, every: 50), Reader(.openMetrics, every: 20),
        Reader(.openMetrics, every: 40), Reader(.protobuf, every: 10), Reader(.protobuf, every: 30),
    ]

    /// Runs steps of 10 s: `record`, then renderings that reach no reader, then the readers that
    /// are due.
    private func run(hours: Int, _ record: (_ second: Int) -> Void) {
        for second in stride(from: 0, to: hours * 3_600, by: 10) {
            record(second)
            // HEAD requests of each format.
            for format in Reader.Format.allCases {
                _ = registry.respond(
                    accept: format.rawValue, creationTimes: true, awaitsDelivery: true)
            }
            for reader in readers where second % reader.interval == 0 { reader.read(registry) }
            clock.advance(by: .seconds(10))
        }
        for reader in readers { reader.read(registry) }
    }

    @Test func `each reader sees every observation of native histograms beyond their limit`() {
        let both = registry.histogram(
            "both", help: "B.",
            buckets: Buckets([0.5, 2]).adding(native: .init(schema: 3, limit: 4)))
        let native = registry.histogram(
            "native", help: "N.", buckets: .native(.init(schema: 8, limit: 8)))
        var random = SeededGenerator(seed: 7)
        var (count, sum) = (0, 0.0)
        run(hours: 3) { second in
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                // A power of two, so that every sum is exact.
                let value = Double(
                    sign: .plus, exponent: Int.random(in: -10...(second / 600), using: &random),
                    significand: 1)
                both.observe(value)
                native.observe(value)
                (count, sum) = (count + 1, sum + value)
            }
        }
        #expect(count > 1_000)
        for reader in readers {
            for name in ["both", "native"] {
                #expect(reader.total(of: "\(name)_count") == Double(count), "\(reader)")
                #expect(reader.total(of: "\(name)_sum") == sum, "\(reader)")
            }
        }
    }

    @Test func `each reader sees every observation of series that are idle repeatedly`() {
        let limit = SeriesLimit(idleTime: .seconds(120))
        let hits = registry.counter("hits", help: "H.", labels: ["n"], limit: limit)
        let waits = registry.histogram(
            "waits", help: "W.", labels: ["n"], buckets: Buckets([1]).adding(native: .init()),
            limit: limit)
        // Held, so that they are hidden instead of removed.
        let (hit, wait) = (hits.with("held"), waits.with("held"))
        var random = SeededGenerator(seed: 11)
        var held = 0
        var passing = 0
        run(hours: 3) { second in
            // Two minutes of activity, eight idle.
            guard second % 600 < 120 else { return }
            for _ in 0..<Int.random(in: 1...5, using: &random) {
                hit.increment()
                wait.observe(1)
                held += 1
                hits.with("passing").increment()
                passing += 1
            }
        }
        #expect(held > 100)
        for reader in readers {
            for name in ["hits_total", "waits_count", "waits_sum"] {
                #expect(reader.total(of: name + #"{n="held"}"#) == Double(held), "\(reader)")
            }
            // A removed series that returns is a new one, which its creation time shows. The text
            // format has no creation times.
            if reader.format == .text { continue }
            #expect(
                reader.total(of: #"hits_total{n="passing"}"#) == Double(passing), "\(reader)")
        }
    }
}

/// A server that scrapes and adds up the increase of each sample, as Prometheus does.
///
/// A value below the last one, or a new creation time, is a reset. A sample that was absent
/// continues from its last value.
private final class Reader: CustomStringConvertible {
    enum Format: String, CaseIterable {
        case text = "text/plain"
        case openMetrics = "application/openmetrics-text"
        case protobuf =
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
    }

    private typealias Sample = (value: Double, created: Double)

    let format: Format
    /// Seconds between scrapes.
    let interval: Int
    private var last: [String: Sample] = [:]
    private var totals: [String: Double] = [:]

    init(_ format: Format, every interval: Int) {
        self.format = format
        self.interval = interval
    }

    var description: String { "\(format) every \(interval) s" }

    func total(of sample: String) -> Double { totals[sample] ?? 0 }

    func read(_ registry: Registry) {
        let response = registry.respond(
            accept: format.rawValue, creationTimes: true, awaitsDelivery: true)
        let samples =
            format == .protobuf
            ? Self.samples(ProtobufMetric.all(in: response))
            : Self.samples(String(decoding: response.body, as: UTF8.self))
        response.confirmDelivery()
        for (name, sample) in samples {
            let before = last[name] ?? (0, sample.created)
            let isReset = sample.value < before.value || sample.created != before.created
            totals[name, default: 0] += isReset ? sample.value : sample.value - before.value
            last[name] = sample
        }
    }

    private static func samples(_ text: String) -> [String: Sample] {
        var samples: [String: Sample] = [:]
        var created: [String: Double] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let parts = line.split(separator: " ")
            guard parts.count >= 2, let value = Double(parts[1]) else { continue }
            if let suffix = parts[0].firstRange(of: "_created") {
                created[String(parts[0][..<suffix.lowerBound] + parts[0][suffix.upperBound...])] =
                    value
            } else {
                samples[String(parts[0])] = (value, 0)
            }
        }
        for name in samples.keys {
            let base = name.replacing("_total", with: "").replacing("_count", with: "")
                .replacing("_sum", with: "")
            samples[name]?.created = created[base] ?? 0
        }
        return samples
    }

    private static func samples(_ metrics: [ProtobufMetric]) -> [String: Sample] {
        var samples: [String: Sample] = [:]
        for metric in metrics {
            let labels =
                metric.labels.isEmpty
                ? "" : "{" + metric.labels.map { "\($0)=\"\($1)\"" }.joined(separator: ",") + "}"
            if metric.family.hasSuffix("_total") {
                samples[metric.family + labels] = (metric.value, metric.created)
            } else {
                samples["\(metric.family)_count" + labels] = (Double(metric.count), metric.created)
                samples["\(metric.family)_sum" + labels] = (metric.sum, metric.created)
            }
        }
        return samples
    }
}
