// SPDX-License-Identifier: Apache-2.0
// Tests of native histograms over time: beyond the bucket limit the resolution drops, and no
// observation is lost.
//
// Tests/Integration/test_protobuf.py checks with protoc which bucket each observation is in.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct NativeHistogramTests {
    private let clock = ManualClock()

    /// Creates a histogram with these native buckets, and its registry.
    private func make(_ buckets: NativeBuckets) -> (Registry, Histogram) {
        let registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        return (registry, registry.histogram("h", help: "H.", buckets: .native(buckets)))
    }

    /// The registry's only histogram, as the protobuf format shows it.
    private func shown(_ registry: Registry) throws -> ProtobufMetric {
        try #require(ProtobufMetric.all(in: registry.respond(accept: ProtobufMetric.type)).first)
    }

    @Test func `beyond its bucket limit a histogram has coarser buckets and keeps its count`()
        throws
    {
        let (registry, histogram) = make(NativeBuckets(schema: 3, limit: 4))
        var schema = 3
        for power in 0..<40 {
            histogram.observe(Double(1 << power))
            let shown = try shown(registry)
            #expect(shown.count == power + 1)
            // Prometheus treats a finer schema as a reset.
            #expect(shown.schema <= schema)
            schema = shown.schema
            #expect(registry.sample("h_count") == "\(power + 1)")
            clock.advance(by: .seconds(7_200))
        }
        #expect(schema < 0)
    }

    @Test func `rendering changes no count in any format`() throws {
        let (registry, histogram) = make(NativeBuckets(schema: 3, limit: 4))
        for power in 0..<20 { histogram.observe(Double(1 << power)) }
        let created = try shown(registry).created
        for _ in 0..<3 {
            clock.advance(by: .seconds(3_600))
            // HEAD requests, and clients that disconnect.
            _ = registry.respond(accept: ProtobufMetric.type, awaitsDelivery: true)
            _ = registry.respond(awaitsDelivery: true)
            #expect(registry.sample("h_count") == "20")
            #expect(registry.sample("h_sum") == "1048575")
            let shown = try shown(registry)
            #expect(shown.count == 20 && shown.sum == 1_048_575 && shown.created == created)
        }
    }

    @Test(arguments: [-4, 0, 3, 8])
    func `values that move back and forth use no more buckets than their range needs`(
        schema: Int
    ) throws {
        let (registry, histogram) = make(NativeBuckets(schema: schema, limit: .max))
        var capacity = 0
        for turn in 0..<50 {
            for step in 0..<1_000 {
                let power = Double(turn % 2 == 0 ? step : 999 - step) / 25 - 20
                histogram.observe(
                    Double(
                        sign: .plus, exponent: Int(power.rounded(.down)),
                        significand: 1 + power - power.rounded(.down)))
            }
            if turn == 0 { capacity = histogram.nativeCapacity }
        }
        #expect(histogram.nativeCapacity == capacity)
        #expect(try shown(registry).count == 50_000)
    }

    @Test func `a range beyond the largest segment is kept in full at a lower resolution`() throws {
        let (registry, histogram) = make(NativeBuckets(schema: 8))
        for power in stride(from: -300.0, through: 300, by: 20) {
            histogram.observe(Double(sign: .plus, exponent: Int(power), significand: 1))
            histogram.observe(-Double(sign: .plus, exponent: Int(power), significand: 1.5))
        }
        let shown = try shown(registry)
        #expect(shown.count == 62)
        #expect(shown.schema < 8)
    }

    @Test func `a registry can use native histograms by default`() throws {
        for (form, buckets) in [(HistogramKind.native, 1), (.both, 3)] {
            let registry = Registry(hasOwnMetrics: false, histograms: form, log: .silent)
            let histogram = registry.histogram("h", help: "H.", buckets: [1, 2])
            histogram.observe(1.5)
            #expect(try shown(registry).count == 1)
            let lines = registry.text().split(separator: "\n").filter { $0.hasPrefix("h_bucket") }
            #expect(lines.count == buckets)
            // The same definition returns the same instrument.
            #expect(registry.histogram("h", help: "H.", buckets: [1, 2]) === histogram)
        }
        #expect(HistogramKind("both") == .both)
        #expect(HistogramKind("neither") == nil)
    }
}

@Suite struct NativeHistogramConcurrencyTests {
    @Test func `no observation is lost while buckets are added, merged and scraped`() async throws {
        let registry = Registry.bare
        let buckets = NativeBuckets(schema: 5, limit: 20)
        let histogram = registry.histogram("h", help: "H.", buckets: .native(buckets))
        await withTaskGroup { group in
            for writer in 0..<4 {
                group.addTask {
                    var random = SeededGenerator(seed: UInt64(writer))
                    for _ in 0..<20_000 {
                        let size = Double.random(in: -30...30, using: &random)
                        histogram.observe((size < 0 ? -1 : 1) * size.magnitude * size.magnitude)
                    }
                }
            }
            group.addTask {
                for _ in 0..<100 { _ = registry.respond(accept: ProtobufMetric.type) }
            }
        }
        let response = registry.respond(accept: ProtobufMetric.type)
        #expect(ProtobufMetric.all(in: response).map(\.count) == [80_000])
        #expect(histogram.count == 80_000)
    }
}
