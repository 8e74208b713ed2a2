// SPDX-License-Identifier: Apache-2.0
// Tests of the families that are recorded only on request, and of their buckets.

import OutriderHTTP
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct OptionalFamilyTests {
    private static let read = "http_server_request_body_size_bytes"
    private static let written = "http_server_response_body_size_bytes"
    private static let firstByte = "http_server_time_to_first_byte_seconds"

    /// The finite upper bounds of a metric's buckets, in order.
    private static func bounds(_ recording: Recording, _ name: String) throws -> [Double] {
        try recording.registry.samples("\(name)_bucket").compactMap { $0.labels["le"] }
            .filter { $0 != "+Inf" }.compactMap(Double.init).sorted()
    }

    @Test func `sizes and the time to the first byte are absent by default`() throws {
        let recording = Recording()
        #expect(!recording.recorder.recordsBodySizes)
        #expect(!recording.recorder.recordsTimeToFirstByte)
        let token = recording.begin()
        token.addRequestBytes(10)
        token.addResponseBytes(10)
        token.recordHead(status: 200)
        token.finish()
        let exposition = try recording.registry.exposition()
        for name in [Self.read, Self.written, Self.firstByte] {
            #expect(exposition.family(name) == nil)
        }
    }

    @Test func `body sizes add up all bytes of a body`() throws {
        let recording = Recording { $0.recordsBodySizes = true }
        #expect(recording.recorder.recordsBodySizes)
        let token = recording.begin()
        for _ in 0..<3 { token.addRequestBytes(100) }
        token.addResponseBytes(70_000)
        token.addResponseBytes(0)
        token.finish()
        let labels = Recording.labels("200")
        try recording.registry.expect("\(Self.read)_sum", labels, 300)
        try recording.registry.expect("\(Self.read)_count", labels, 1)
        try recording.registry.expect("\(Self.written)_sum", labels, 70_000)
    }

    @Test func `a request without a body counts as zero bytes`() throws {
        let recording = Recording { $0.recordsBodySizes = true }
        recording.begin().finish()
        for name in [Self.read, Self.written] {
            try recording.registry.expect("\(name)_count", Recording.labels("200"), 1)
            try recording.registry.expect("\(name)_sum", Recording.labels("200"), 0)
        }
    }

    @Test func `an invalid number of bytes does not corrupt the sum`() throws {
        let recording = Recording { $0.recordsBodySizes = true }
        let token = recording.begin()
        for count in [-5, Int.min, Int.max, 10] {
            token.addRequestBytes(count)
            token.addResponseBytes(count)
        }
        token.finish()
        #expect(try recording.total("\(Self.read)_sum") >= 0)
        #expect(try recording.total("\(Self.written)_sum") >= 0)
        #expect(try recording.counted() == 1)
    }

    @Test func `size buckets grow by a factor of four`() throws {
        let recording = Recording { $0.recordsBodySizes = true }
        recording.begin().finish()
        let wanted: [Double] = [
            64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216,
            67_108_864,
        ]
        #expect(try Self.bounds(recording, Self.read) == wanted)
        #expect(try Self.bounds(recording, Self.written) == wanted)
    }

    @Test func `the time to the first byte ends at the first response head`() throws {
        let recording = Recording { $0.recordsTimeToFirstByte = true }
        #expect(recording.recorder.recordsTimeToFirstByte)
        let token = recording.begin()
        recording.clock.advance(by: .milliseconds(125))
        token.recordHead(status: 200)
        recording.clock.advance(by: .seconds(1))
        token.recordHead(status: 200)
        token.finish()
        try recording.registry.expect("\(Self.firstByte)_sum", Recording.labels("200"), 0.125)
        try recording.registry.expect("\(Recording.durations)_sum", Recording.labels("200"), 1.125)
    }

    @Test func `a request without a response head has no time to first byte`() throws {
        let recording = Recording { $0.recordsTimeToFirstByte = true }
        recording.begin().finish(.clientDisconnected)
        #expect(try recording.total("\(Self.firstByte)_count") == 0)
    }

    @Test func `durations have the buckets that OpenTelemetry recommends`() throws {
        let recording = Recording { $0.recordsTimeToFirstByte = true }
        let token = recording.begin()
        token.recordHead(status: 200)
        token.finish()
        let wanted = [
            0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
        ]
        #expect(try Self.bounds(recording, Recording.durations) == wanted)
        #expect(try Self.bounds(recording, Self.firstByte) == wanted)
    }

    @Test func `lowLatency adds three lower buckets`() throws {
        let recording = Recording {
            $0.buckets = .lowLatency
            $0.naming = .both
        }
        recording.begin().finish()
        let wanted = [
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5,
            5, 7.5, 10,
        ]
        #expect(try Self.bounds(recording, Recording.durations) == wanted)
        #expect(try Self.bounds(recording, "http_request_duration_seconds") == wanted)
    }

    @Test(arguments: [Buckets([]), Buckets([2, 1]), Buckets([.nan])])
    func `invalid buckets do not stop recording`(buckets: Buckets) throws {
        let recording = Recording { $0.buckets = buckets }
        recording.begin().finish()
        #expect(try recording.inFlight() == 0)
    }
}
