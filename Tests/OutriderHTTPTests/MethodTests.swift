// SPDX-License-Identifier: Apache-2.0
// Tests of the method label: a fixed set of values, whatever clients send.

import OutriderHTTP
import OutriderTesting
import Testing

@Suite struct MethodTests {
    private static let durations = "\(Recording.durations)_count"

    private func methods(_ recording: Recording, _ sent: [String]) throws -> [String] {
        for method in sent { recording.begin(method: method).finish() }
        return try recording.registry.values(of: "http_request_method", on: Self.durations)
    }

    @Test(arguments: [
        "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "TRACE",
    ])
    func `a known method is recorded as it is`(method: String) throws {
        let recording = Recording()
        recording.begin(method: method).finish()
        try recording.expectOne("200", method: method)
    }

    @Test func `a thousand unknown methods share one series`() throws {
        let recording = Recording()
        for number in 0..<1_000 {
            recording.begin(method: "X\(number &* 0x9E37_79B9)").finish()
        }
        let samples = try recording.registry.samples(Self.durations)
        #expect(samples.map(\.labels) == [Recording.labels("200", method: "_OTHER").printed])
        #expect(samples.first?.value == 1_000)
        #expect(try recording.registry.samples(Recording.active).count == 1)
        #expect(try recording.inFlight() == 0)
    }

    @Test(arguments: ["get", "Get", " GET", "GET ", "GET\0", "", "_OTHER", "QUERY", "ＧＥＴ"])
    func `a method that does not match a known one exactly is _OTHER`(method: String) throws {
        #expect(try methods(Recording(), [method]) == ["_OTHER"])
    }

    @Test func `an additional method is recorded as it is`() throws {
        let recording = Recording { $0.additionalMethods = ["QUERY"] }
        #expect(try methods(recording, ["QUERY", "GET", "PURGE"]) == ["GET", "QUERY", "_OTHER"])
        #expect(try recording.inFlight() == 0)
    }

    @Test func `only the first six additional methods are recorded as they are`() throws {
        let names = (1...8).map { "M\($0)" }
        let recording = Recording { $0.additionalMethods = names }
        #expect(try methods(recording, names) == names.prefix(6) + ["_OTHER"])
        #expect(try recording.counted(where: ["http_request_method": "_OTHER"]) == 2)
        #expect(try recording.inFlight() == 0)
    }

    @Test func `an additional method that is known, empty or repeated does not use a slot`() throws
    {
        let names = ["GET", "", "_OTHER", "M1", "M1", "M2", "M3", "M4", "M5", "M6"]
        let recording = Recording { $0.additionalMethods = names }
        let sent = (1...6).map { "M\($0)" }
        #expect(try methods(recording, sent) == sent)
    }

    @Test func `each method and scheme has its own gauge`() throws {
        let recording = Recording { $0.additionalMethods = (1...6).map { "M\($0)" } }
        let names = ["GET", "POST", "M1", "M6", "nonsense"]
        let tokens = names.flatMap { name in
            URLScheme.allCases.map { recording.recorder.begin(method: name, scheme: $0) }
        }
        for name in names.dropLast() + ["_OTHER"] {
            for scheme in ["http", "https"] {
                let labels = ["http_request_method": name, "url_scheme": scheme]
                try recording.registry.expect(Recording.active, labels, 1)
            }
        }
        for token in tokens { token.finish() }
        #expect(try recording.inFlight() == 0)
    }
}

extension [String: String] {
    /// Without empty labels, which an exposition omits.
    var printed: [String: String] { filter { !$0.value.isEmpty } }
}
