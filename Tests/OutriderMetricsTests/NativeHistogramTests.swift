// SPDX-License-Identifier: Apache-2.0
// A native histogram over time: too many buckets, a new beginning, and nothing lost in between.
//
// Which observation is in which bucket is for protoc to say: Tests/Integration/test_protobuf.py.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct NativeHistogramTests {
    private let clock = ManualClock()

    /// A histogram with these native buckets, and its registry.
    private func make(_ buckets: NativeBuckets) -> (Registry, Histogram) {
        let registry = Registry(reportsItself: false, log: .silent, clock: clock)
        return (registry, registry.histogram("h", help: "H.", buckets: .native(buckets)))
    }

    @Test func `with too many buckets it begins anew, but not before its time`() throws {
        let (registry, histogram) = make(NativeBuckets(schema: 3, limit: 4))
        for power in 0..<20 { histogram.observe(Double(1 << power)) }
        var shown = try NativeShown(registry)
        #expect(shown.count == 20)
        #expect(shown.schema < 3)
        #expect(registry.sample("h_count") == "20")

        clock.advance(by: .seconds(3_600))
        histogram.observe(1)
        // The last of the old count is shown before it goes.
        shown = try NativeShown(registry)
        #expect(shown.count == 21)
        #expect(registry.sample("h_count") == "0")
        #expect(registry.sample("h_sum") == "0")

        histogram.observe(8)
        shown = try NativeShown(registry)
        #expect(shown.count == 1)
        #expect(shown.schema == 3)
        #expect(registry.sample("h_sum") == "8")
    }

    @Test func `one that never begins anew keeps its count`() throws {
        let (registry, histogram) = make(NativeBuckets(schema: 8, limit: 2, resetInterval: nil))
        for turn in 1...50 {
            histogram.observe(Double(turn))
            clock.advance(by: .seconds(7_200))
            #expect(try NativeShown(registry).count == turn)
        }
    }

    @Test func `a range beyond the largest segment is seen more coarsely, and whole`() throws {
        let (registry, histogram) = make(NativeBuckets(schema: 8))
        for power in stride(from: -300.0, through: 300, by: 20) {
            histogram.observe(Double(sign: .plus, exponent: Int(power), significand: 1))
            histogram.observe(-Double(sign: .plus, exponent: Int(power), significand: 1.5))
        }
        let shown = try NativeShown(registry)
        #expect(shown.count == 62)
        #expect(shown.schema < 8)
    }

    @Test func `registries may have native histograms where nobody asked for them`() throws {
        for (form, buckets) in [(HistogramForm.native, 1), (.both, 3)] {
            let registry = Registry(reportsItself: false, histograms: form, log: .silent)
            let histogram = registry.histogram("h", help: "H.", buckets: [1, 2])
            histogram.observe(1.5)
            #expect(try NativeShown(registry).count == 1)
            let lines = registry.text().split(separator: "\n").filter { $0.hasPrefix("h_bucket") }
            #expect(lines.count == buckets)
            // The same definition gives the same instrument.
            #expect(registry.histogram("h", help: "H.", buckets: [1, 2]) === histogram)
        }
        #expect(HistogramForm("both") == .both)
        #expect(HistogramForm("neither") == nil)
    }
}

@Suite struct NativeHistogramConcurrencyTests {
    @Test func `no observation is lost while buckets are added, widened and scraped`() async throws
    {
        let registry = Registry.bare
        let buckets = NativeBuckets(schema: 5, limit: 20, resetInterval: nil)
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
            group.addTask { for _ in 0..<100 { _ = try? NativeShown(registry) } }
        }
        #expect(try NativeShown(registry).count == 80_000)
        #expect(histogram.count == 80_000)
    }
}

/// What the protobuf format shows of the only histogram of a registry.
private struct NativeShown {
    let count: Int
    let schema: Int

    private struct Malformed: Error {}

    init(_ registry: Registry) throws {
        let type =
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
        // The length of the family, its metrics, their histogram: fields 4 and 7.
        var body = registry.respond(accept: type).body[...]
        _ = Self.varint(&body)
        guard let metric = Self.fields(body)[4]?.first?.bytes,
            let histogram = Self.fields(metric)[7]?.first?.bytes
        else { throw Malformed() }
        let fields = Self.fields(histogram)
        count = Int(fields[1]?.first?.number ?? 0)
        let zigzag = fields[5]?.first?.number ?? 0
        schema = Int(zigzag >> 1) ^ -Int(zigzag & 1)
    }

    private static func varint(_ bytes: inout ArraySlice<UInt8>) -> UInt64 {
        var (value, shift): (UInt64, UInt64) = (0, 0)
        while let byte = bytes.popFirst() {
            value |= UInt64(byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 { break }
        }
        return value
    }

    private static func fields(
        _ message: ArraySlice<UInt8>
    ) -> [UInt64: [(number: UInt64, bytes: ArraySlice<UInt8>)]] {
        var found: [UInt64: [(number: UInt64, bytes: ArraySlice<UInt8>)]] = [:]
        var rest = message
        while !rest.isEmpty {
            let tag = varint(&rest)
            var (number, bytes): (UInt64, ArraySlice<UInt8>) = (0, [])
            switch tag & 7 {
            case 0: number = varint(&rest)
            case 1: rest = rest.dropFirst(8)
            default:
                let length = Int(varint(&rest))
                bytes = rest.prefix(length)
                rest = rest.dropFirst(length)
            }
            found[tag >> 3, default: []].append((number, bytes))
        }
        return found
    }
}
