// SPDX-License-Identifier: Apache-2.0
// Tests of the memory that a scrape is rendered into, which is mapped, grows on demand, and is
// released.

import OutriderMetrics
import OutriderThreading
import Testing

@Suite struct RenderMemoryTests {
    private let protobuf =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

    @Test func `growing keeps the written bytes, and shrinking keeps the rest`() throws {
        let memory = try #require(MappedMemory(capacity: 1))
        let page = memory.capacity
        for index in 0..<page { unsafe memory.bytes[index] = UInt8(truncatingIfNeeded: index) }
        #expect(memory.grow(to: 10 * page, keeping: page))
        #expect(memory.capacity == 10 * page)
        unsafe memory.bytes[10 * page - 1] = 1
        memory.shrink(to: page)
        #expect(memory.capacity == page)
        let isWhole = unsafe memory.first(page).indices.allSatisfy {
            unsafe memory.first(page)[$0] == UInt8(truncatingIfNeeded: $0)
        }
        #expect(isWhole)
    }

    @Test func `when memory is not available, nothing is allocated and nothing is lost`() throws {
        #expect(MappedMemory(capacity: .max) == nil)
        let memory = try #require(MappedMemory(capacity: 1))
        unsafe memory.bytes[0] = 7
        let before = memory.capacity
        #expect(!memory.grow(to: .max, keeping: 1))
        #expect(memory.capacity == before)
        let first = unsafe memory.first(1)[0]
        #expect(first == 7)
    }

    @Test func `a large body stays in its mapping, and a small one is copied`() throws {
        let few = try #require(MappedMemory(capacity: 4 << 20))
        guard case .array(let bytes) = BodyBytes(few, count: 100) else {
            Issue.record("a hundred bytes are not in an array")
            return
        }
        #expect(bytes.count == 100)
        let many = BodyBytes(few, count: 3 << 20)
        #expect(many.count == 3 << 20)
        #expect(many.room == 3 << 20)
        #expect(many.array.count == 3 << 20)
        guard case .mapped = many else {
            Issue.record("three megabytes were copied")
            return
        }
    }

    @Test func `a scrape of several megabytes is complete each time`() throws {
        let registry = Registry(hasOwnMetrics: false, log: .silent)
        let levels = registry.gauge("levels", help: "Levels.", labels: ["value"])
        let rest = String(repeating: "x", count: 900)
        for index in 0..<4_000 { levels.with("\(index) \(rest)").set(Double(index)) }
        let text = registry.text()
        #expect(text.utf8.count > 3 << 20)
        for _ in 0..<2 { #expect(registry.respond().body == Array(text.utf8)) }
        // The first rendering has to grow its buffer; the second one starts with its size.
        let first = registry.respond(accept: protobuf).body
        #expect(first.count > 3 << 20)
        #expect(registry.respond(accept: protobuf).body == first)
        let compressed = registry.respond(acceptEncoding: "gzip")
        #expect(compressed.body.count < text.utf8.count / 4)
        #expect(compressed.headers.contains { $0 == ("Content-Encoding", "gzip") })
    }

    @Test func `a scrape with more native buckets than expected is complete too`() {
        let registry = Registry(hasOwnMetrics: false, log: .silent)
        let sizes = registry.histogram(
            "sizes", help: "Sizes.", labels: ["n"], buckets: .native(NativeBuckets(schema: 3)))
        for series in 0..<400 {
            for step in 0..<150 { sizes.with("\(series)").observe(pow(1.2, step)) }
        }
        // The first scrape starts with too little room, the second one with the size of the first.
        let first = registry.respond(accept: protobuf).body
        #expect(first.count > 100_000)
        #expect(registry.respond(accept: protobuf).body == first)
    }

    private func pow(_ base: Double, _ times: Int) -> Double {
        (0..<times).reduce(1) { result, _ in result * base }
    }
}
