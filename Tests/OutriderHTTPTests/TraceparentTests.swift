// SPDX-License-Identifier: Apache-2.0
// Tests of request exemplars: from a valid header of a sampled trace, or from the current trace.

import OutriderHTTP
import OutriderMetrics
import OutriderTesting
import Synchronization
import Testing

private let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
private let span = "00f067aa0ba902b7"
private let sampled = "00-\(trace)-\(span)-01"
private let otherTrace = "0af7651916cd43dd8448eb211c80319c"
private let otherSampled = "00-\(otherTrace)-b7ad6b7169203331-01"

@Suite struct TraceparentTests {
    private func exemplars(
        _ header: String?, _ configure: (inout HTTPRequestRecorder.Configuration) -> Void = { _ in }
    ) throws -> [[String: String]] {
        let recording = Recording {
            $0.buckets = [1]
            configure(&$0)
        }
        recording.begin().finish(traceparent: header)
        return try recording.registry.exemplars(on: Recording.durations).map(\.labels)
    }

    @Test(arguments: [
        "00-\(trace)-\(span)-01", "00-\(trace)-\(span)-03", "00-\(trace)-\(span)-ff",
        "01-\(trace)-\(span)-01", "cc-\(trace)-\(span)-01", "fe-\(trace)-\(span)-01-",
        "cc-\(trace)-\(span)-01-what-the-future-will-be-like",
    ])
    func `a valid header of a sampled trace is the exemplar`(header: String) throws {
        #expect(try exemplars(header) == [["trace_id": trace, "span_id": span]])
    }

    @Test(arguments: ["00", "02", "fe"])
    func `a trace that is not sampled gives no exemplar`(flags: String) throws {
        #expect(try exemplars("00-\(trace)-\(span)-\(flags)") == [])
    }

    @Test(arguments: [
        "", "0", "00", "00-", "-", "----", "garbage",
        // An invalid version, or one that is not lower-case hexadecimal.
        "ff-\(trace)-\(span)-01", "0-\(trace)-\(span)-01", "0x-\(trace)-\(span)-01",
        "FE-\(trace)-\(span)-01", "-0-\(trace)-\(span)-01", "+1-\(trace)-\(span)-01",
        // All zero.
        "00-00000000000000000000000000000000-\(span)-01", "00-\(trace)-0000000000000000-01",
        // Upper case.
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-\(span)-01", "00-\(trace)-00F067AA0BA902B7-01",
        "00-\(trace)-\(span)-0F", "00-\(trace)-00f067aa0ba902bG-01",
        // Wrong lengths and wrong dashes.
        "00-\(trace)0-\(span)-01", "00-\(trace.dropLast())-\(span)-01", "00-\(trace)-\(span)-1",
        "00-\(trace)-\(span)-011", "00-\(trace)-\(span)-01-", "00-\(trace)-\(span)-01-extra",
        "00-\(trace)-\(span)0-01", "00_\(trace)_\(span)_01", "00-\(trace)-\(span)",
        "00-\(trace)-\(span)-", "01-\(trace)-\(span)-01extra", "01-\(trace)-\(span)-01.extra",
        // Surrounding characters.
        " 00-\(trace)-\(span)-01", "00-\(trace)-\(span)-01 ", "00-\(trace)-\(span)-01\n",
        "00-\(trace)-\(span)-01\0", "\"00-\(trace)-\(span)-01\"",
        "00-\(trace)-\(span)-01,00-\(trace)-\(span)-01",
        // Digits outside ASCII, and a combining mark.
        "00-４bf92f3577b34da6a3ce929d0e0e47-\(span)-01", "00-\(trace)-\(span)-０１",
        "00-\(trace)-\(span)-0\u{301}1",
    ])
    func `a malformed header gives no exemplar, and the request is counted`(header: String) throws {
        let recording = Recording()
        recording.begin().finish(traceparent: header)
        #expect(try recording.registry.exemplars(on: Recording.durations).isEmpty)
        try recording.expectOne("200")
    }

    @Test func `an overlong header gives no exemplar`() throws {
        let long = String(repeating: "0", count: 100_000)
        #expect(try exemplars(long) == [])
        #expect(try exemplars(sampled + long) == [])
        #expect(try exemplars("00-" + long) == [])
    }

    @Test func `a header with any byte replaced is parsed or ignored`() throws {
        let bytes = Array(sampled.utf8)
        for offset in bytes.indices {
            for byte in Array("-0agA/:`\0".utf8) + [0xFF] {
                var changed = bytes
                changed[offset] = byte
                let header = String(decoding: changed, as: UTF8.self)
                for labels in try exemplars(header) {
                    let digits = labels.values.joined().utf8
                    #expect(digits.count == 48)
                    #expect(digits.allSatisfy { "0123456789abcdef".utf8.contains($0) }, "\(header)")
                }
            }
        }
    }

    // MARK: - Position

    @Test func `an exemplar is on its bucket, with its value and time, in OpenMetrics only`() throws
    {
        let recording = Recording()
        let token = recording.begin()
        recording.clock.advance(by: .milliseconds(60))
        token.finish(traceparent: sampled)
        let labels = Recording.labels("200").merging(["le": "0.075"]) { $1 }
        let sample = try recording.registry.openMetrics().sample(
            "\(Recording.durations)_bucket", labels)
        let exemplar = try #require(sample?.exemplar)
        #expect(exemplar.labels == ["trace_id": trace, "span_id": span])
        #expect(exemplar.value == 0.06)
        #expect(exemplar.timestamp == 1_700_000_000.06)
        #expect(!recording.registry.text().contains(trace))
    }

    @Test func `with both namings, both histograms have the exemplar`() throws {
        let recording = Recording { $0.naming = .both }
        recording.begin().finish(traceparent: sampled)
        for name in [Recording.durations, "http_request_duration_seconds"] {
            let found = try recording.registry.exemplars(on: name).map(\.labels)
            #expect(found == [["trace_id": trace, "span_id": span]])
        }
    }

    @Test func `failed and aborted requests have exemplars too`() throws {
        let recording = Recording()
        recording.begin().finish(.failed(OutOfStock()), traceparent: sampled)
        recording.begin().finish(.clientDisconnected, traceparent: sampled)
        #expect(try recording.registry.exemplars(on: Recording.durations).count == 2)
    }

    // MARK: - When the header is read

    @Test func `the header is not read within a second of the bucket's last exemplar`() throws {
        let recording = Recording()
        let asked = Tally()
        func header() -> String? {
            asked.add()
            return sampled
        }
        recording.begin().finish(traceparent: header())
        recording.clock.advance(by: .milliseconds(999))
        for _ in 0..<10 { recording.begin().finish(traceparent: header()) }
        #expect(asked.count == 1)
        let slow = recording.begin()
        recording.clock.advance(by: .milliseconds(1))
        slow.finish(traceparent: header())
        recording.begin().finish(traceparent: header())
        #expect(asked.count == 2)
        let slower = recording.begin()
        recording.clock.advance(by: .milliseconds(500))
        slower.finish(traceparent: header())
        #expect(asked.count == 3, "each bucket has its own interval")
    }

    @Test func `the header of an excluded or finished request is not read`() throws {
        let recording = Recording { $0.excludedRoutes = ["/healthz"] }
        let asked = Tally()
        func header() -> String? {
            asked.add()
            return sampled
        }
        recording.begin(route: "/healthz").finish(traceparent: header())
        let token = recording.begin()
        token.finish()
        token.finish(traceparent: header())
        #expect(asked.count == 0)
    }

    // MARK: - The current trace

    @Test func `the current trace takes precedence over the header`() throws {
        let found = try exemplars(otherSampled) { $0.traceparent = { sampled } }
        #expect(found == [["trace_id": trace, "span_id": span]])
    }

    @Test func `without a current trace, the header is used`() throws {
        let found = try exemplars(sampled) { $0.traceparent = { nil } }
        #expect(found == [["trace_id": trace, "span_id": span]])
    }

    @Test func `an unsampled current trace is not replaced by the header`() throws {
        #expect(try exemplars(sampled) { $0.traceparent = { "00-\(otherTrace)-\(span)-00" } } == [])
        #expect(try exemplars(sampled) { $0.traceparent = { "nonsense" } } == [])
    }

    @Test func `the first captured trace is used at the end`() throws {
        let running = Running()
        let recording = Recording { $0.traceparent = { running.now } }
        let token = recording.begin()
        running.set(sampled)
        token.captureTrace()
        running.set(otherSampled)
        token.captureTrace()
        token.finish(traceparent: otherSampled)
        let found = try recording.registry.exemplars(on: Recording.durations).map(\.labels)
        #expect(found == [["trace_id": trace, "span_id": span]])
    }

    @Test func `capturing without a current trace leaves the header in effect`() throws {
        for source in [nil, { @Sendable () -> String? in nil }] {
            let recording = Recording { $0.traceparent = source }
            let token = recording.begin()
            token.captureTrace()
            token.finish(traceparent: sampled)
            #expect(try recording.registry.exemplars(on: Recording.durations).count == 1)
        }
    }

    @Test func `a dropped token has the exemplar of its captured trace`() throws {
        let running = Running()
        let recording = Recording { $0.traceparent = { running.now } }
        running.set(sampled)
        do {
            recording.begin().captureTrace()
            running.set(nil)
        }
        let found = try recording.registry.exemplars(on: Recording.durations).map(\.labels)
        #expect(found == [["trace_id": trace, "span_id": span]])
    }
}

/// The current trace, as set by a test.
private final class Running: Sendable {
    private let text = Mutex<String?>(nil)

    var now: String? { text.withLock { $0 } }

    func set(_ traceparent: String?) {
        text.withLock { $0 = traceparent }
    }
}
