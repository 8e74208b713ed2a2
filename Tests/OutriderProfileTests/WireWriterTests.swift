// SPDX-License-Identifier: Apache-2.0
// Tests of the protobuf wire format, byte by byte, including the examples of its specification.

import OutriderWire
import Testing

@Suite struct WireWriterTests {
    @Test func `numbers take as many bytes as they need, and none for 0`() {
        var writer = WireWriter()
        writer.add(1, 150 as UInt64)
        writer.add(2, 0 as UInt64)
        writer.add(3, 127 as UInt64)
        writer.add(16, UInt64.max)
        #expect(
            writer.bytes == [
                0x08, 0x96, 0x01, 0x18, 0x7f, 0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                0xff, 0xff, 0x01,
            ])
    }

    @Test func `negative numbers take ten bytes`() {
        var writer = WireWriter()
        writer.add(1, -2 as Int64)
        #expect(writer.bytes == [8, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])
    }

    @Test func `texts, messages and packed numbers start with their length`() {
        var inner = WireWriter()
        inner.add(1, 150 as UInt64)
        var writer = WireWriter()
        writer.add(2, "testing")
        writer.add(3, inner)
        writer.add(6, packed: [3, 270, 86_942] as [UInt64])
        writer.add(7, packed: [] as [Int64])
        writer.add(8, "")
        writer.add(9, true)
        writer.add(9, false)
        #expect(
            writer.bytes == [0x12, 7] + Array("testing".utf8) + [0x1a, 3, 8, 0x96, 1]
                + [0x32, 6, 3, 0x8e, 2, 0x9e, 0xa7, 5] + [0x42, 0] + [0x48, 1])
    }

    @Test func `a field that is written separately starts with its length`() {
        var writer = WireWriter()
        writer.begin(4, length: 300)
        writer.begin(length: 5)
        #expect(writer.bytes == [0x22, 0xac, 0x02, 5])
    }

    @Test func `gzip accepts any input, or reports that it exceeds the limit`() throws {
        // Bytes without a pattern for deflate: the high bytes of a linear congruential generator.
        var state: UInt64 = 1
        let noise = (0..<100_000).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
        let member = try #require(Gzip.member(noise))
        #expect(member.prefix(2) == [0x1f, 0x8b] && member.count > noise.count)
        #expect(Gzip.member(noise, limit: noise.count) == nil)
        #expect(Gzip.member([], limit: 0) == nil)
        #expect(try #require(Gzip.member([UInt8](repeating: 7, count: 100_000))).count < 1_000)
    }

    @Test func `gzip in pieces equals gzip of the whole`() throws {
        let text = (0..<50_000).map { UInt8(truncatingIfNeeded: $0 % 251 + $0 / 1_000) }
        let writer = GzipWriter()
        for start in stride(from: 0, to: text.count, by: 700) {
            writer.write(Array(text[start..<min(text.count, start + 700)]))
        }
        #expect(writer.finish() == Gzip.member(text))
        #expect(GzipWriter().finish() == Gzip.member([]))
    }
}
