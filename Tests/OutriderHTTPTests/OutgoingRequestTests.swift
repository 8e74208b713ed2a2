// SPDX-License-Identifier: Apache-2.0
// Tests of outgoing requests, which are recorded by server instead of by route.

import OutriderHTTP
import OutriderMetrics
import OutriderTesting
import TestSupport
import Testing

@Suite struct OutgoingRequestTests {
    private static let durations = "http_client_request_duration_seconds"
    private let clock = ManualClock()
    private let registry: Registry
    private let recorder: HTTPClientRecorder
    private let stock: HTTPClientRecorder.Peer

    init() {
        registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        recorder = HTTPClientRecorder(registry: registry)
        stock = recorder.peer("stock.internal", port: 8080)
    }

    private static func labels(
        _ status: String, error: String = "", method: String = "GET",
        address: String = "stock.internal", port: String = "8080"
    ) -> [String: String] {
        [
            "http_request_method": method, "server_address": address, "server_port": port,
            "http_response_status_code": status, "error_type": error,
        ]
    }

    /// Expects that one request was counted, with these labels and no others.
    private func expectOne(_ status: String, error: String = "", method: String = "GET") throws {
        let samples = try registry.samples("\(Self.durations)_count")
        #expect(
            samples.map(\.labels) == [Self.labels(status, error: error, method: method).printed])
        #expect(samples.map(\.value) == [1])
    }

    private func counted() throws -> Double {
        try registry.samples("\(Self.durations)_count").reduce(0) { $0 + $1.value }
    }

    @Test func `a response is counted under its method, server, port and status`() throws {
        let token = recorder.begin(method: "POST", to: stock)
        token.setStatus(201)
        clock.advance(by: .milliseconds(125))
        token.finish()
        try expectOne("201", method: "POST")
        try registry.expect("\(Self.durations)_sum", Self.labels("201", method: "POST"), 0.125)
    }

    @Test(arguments: [400, 404, 500, 999])
    func `a status from 400 on is an error for the client`(status: Int) throws {
        let token = recorder.begin(method: "GET", to: stock)
        token.setStatus(status)
        token.finish()
        try expectOne("\(status)", error: "\(status)")
    }

    @Test(arguments: [100, 204, 302, 399])
    func `a status below 400 is not an error`(status: Int) throws {
        let token = recorder.begin(method: "GET", to: stock)
        token.setStatus(status)
        token.finish()
        try expectOne("\(status)")
    }

    @Test(arguments: [Int.min, -1, 0, 99, 1_000, Int.max])
    func `a status out of range is omitted`(status: Int) throws {
        let token = recorder.begin(method: "GET", to: stock)
        token.setStatus(status)
        token.finish()
        try expectOne("")
    }

    @Test func `a failed request has its error's type and no status`() throws {
        recorder.begin(method: "GET", to: stock).finish(.failed(OutOfStock()))
        try expectOne("", error: "OutOfStock")
    }

    @Test func `an interrupted response has its status and the error's type`() throws {
        let token = recorder.begin(method: "GET", to: stock)
        token.setStatus(200)
        token.finish(.failed(OutOfStock()))
        try expectOne("200", error: "OutOfStock")
    }

    @Test func `a cancelled request is counted as cancelled`() throws {
        recorder.begin(method: "GET", to: stock).finish(.cancelled)
        try expectOne("", error: "cancelled")
    }

    @Test func `a request that fails with CancellationError is counted as cancelled`() throws {
        recorder.begin(method: "GET", to: stock).finish(.failed(CancellationError()))
        try expectOne("", error: "cancelled")
    }

    @Test func `a dropped token is counted once, as abandoned`() throws {
        _ = recorder.begin(method: "GET", to: stock)
        try expectOne("", error: "abandoned")
    }

    @Test func `only the first end of a request counts`() throws {
        do {
            let token = recorder.begin(method: "GET", to: stock)
            token.setStatus(200)
            token.finish()
            token.setStatus(500)
            token.finish(.failed(OutOfStock()))
            token.finish(.cancelled)
        }
        try expectOne("200")
    }

    // MARK: - record

    @Test func `record returns the value of its body and counts the status`() async throws {
        let clock = clock
        let answer = await recorder.record(method: "GET", to: stock) { token in
            clock.advance(by: .milliseconds(500))
            token.setStatus(200)
            return "forty-two"
        }
        #expect(answer == "forty-two")
        try expectOne("200")
        try registry.expect("\(Self.durations)_sum", Self.labels("200"), 0.5)
    }

    @Test func `record rethrows the error of its body and counts its type`() async throws {
        await #expect(throws: OutOfStock.self) {
            try await recorder.record(method: "GET", to: stock) { _ in throw OutOfStock() }
        }
        try expectOne("", error: "OutOfStock")
    }

    @Test func `record preserves the type of the thrown error`() async {
        do throws(OutOfStock) {
            try await recorder.record(method: "GET", to: stock) {
                _ throws(OutOfStock) in throw OutOfStock()
            }
        } catch {
            let known: OutOfStock = error
            _ = known
        }
    }

    @Test func `a body that throws CancellationError is counted as cancelled`() async throws {
        await #expect(throws: CancellationError.self) {
            try await recorder.record(method: "GET", to: stock) { _ in throw CancellationError() }
        }
        try expectOne("", error: "cancelled")
    }

    @Test func `any error in a cancelled task is counted as cancelled`() async throws {
        let (recorder, stock) = (recorder, stock)
        let request = Task {
            try await recorder.record(method: "GET", to: stock) { _ in
                await Gate().wait()
                throw OutOfStock()
            }
        }
        request.cancel()
        await #expect(throws: OutOfStock.self) { try await request.value }
        try expectOne("", error: "cancelled")
    }

    @Test func `a token that the body has finished keeps that outcome`() async throws {
        await recorder.record(method: "GET", to: stock) { token in
            token.setStatus(204)
            token.finish(.cancelled)
        }
        try expectOne("204", error: "cancelled")
    }

    // MARK: - Bounds

    @Test func `unknown methods share one series`() throws {
        for number in 0..<1_000 { recorder.begin(method: "X\(number)", to: stock).finish() }
        let samples = try registry.samples("\(Self.durations)_count")
        #expect(samples.map(\.labels) == [Self.labels("", method: "_OTHER").printed])
        #expect(samples.map(\.value) == [1_000])
    }

    @Test func `an overlong server name is an overflow, and every request is counted`() throws {
        let registry = Registry(log: .silent)
        let recorder = HTTPClientRecorder(registry: registry)
        for number in 0..<20 {
            let name = "\(number)" + String(repeating: "x", count: 1_024)
            recorder.begin(method: "GET", to: recorder.peer(name, port: 1)).finish()
        }
        let lines = registry.text().split(separator: "\n")
        #expect(lines.count { $0.contains("_OVERFLOW") && $0.contains("_count{") } == 1)
        #expect(lines.allSatisfy { !$0.contains("xxxx") })
    }

    @Test func `servers beyond the limit share one series, and every request is counted`() throws {
        var configuration = HTTPClientRecorder.Configuration()
        configuration.limit = SeriesLimit(count: 10)
        let recorder = HTTPClientRecorder(registry: registry, configuration: configuration)
        for _ in 0..<2 {
            for number in 0..<30 {
                recorder.begin(method: "GET", to: recorder.peer("h\(number)", port: 1)).finish()
            }
        }
        let overflow = Self.labels("", address: "_OVERFLOW", port: "_OVERFLOW")
        try registry.expect("\(Self.durations)_count", overflow, 40)
        #expect(try registry.samples("\(Self.durations)_count").count == 11)
        #expect(try counted() == 60)
    }

    @Test func `one server on two ports is counted as two`() throws {
        recorder.begin(method: "GET", to: recorder.peer("a", port: 1)).finish()
        recorder.begin(method: "GET", to: recorder.peer("a", port: 2)).finish()
        recorder.begin(method: "GET", to: recorder.peer("a", port: 2)).finish()
        try registry.expect("\(Self.durations)_count", Self.labels("", address: "a", port: "1"), 1)
        try registry.expect("\(Self.durations)_count", Self.labels("", address: "a", port: "2"), 2)
    }

    @Test(arguments: ["::1", "[::1]", "[0:0:0:0:0:0:0:1]", "0::0001", "[::1%lo]"])
    func `every spelling of an IPv6 address is the same server`(address: String) throws {
        recorder.begin(method: "GET", to: recorder.peer(address, port: 1)).finish()
        recorder.begin(method: "GET", to: recorder.peer("::1", port: 1)).finish()
        let labels = Self.labels("", address: "::1", port: "1")
        try registry.expect("\(Self.durations)_count", labels, 2)
        #expect(try registry.samples("\(Self.durations)_count").count == 1)
    }

    @Test(arguments: [
        ("Stock.Internal", "stock.internal"), ("/tmp/Shop.sock", "/tmp/Shop.sock"),
        ("[Stock]", "[stock]"), ("[", "["), ("a:b", "a:b"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
    ])
    func `a host name is lowercased, and a socket path is kept`(
        address: String, label: String
    ) throws {
        recorder.begin(method: "GET", to: recorder.peer(address, port: 1)).finish()
        let labels = Self.labels("", address: label, port: "1")
        try registry.expect("\(Self.durations)_count", labels, 1)
    }

    @Test(arguments: ["", "a\"b\\c\nd", "\0", "h\u{1F600}", String(repeating: "x", count: 100_000)])
    func `a hostile server name does not break the exposition`(address: String) throws {
        recorder.begin(method: "GET", to: recorder.peer(address, port: Int.min)).finish()
        recorder.begin(method: "GET", to: stock).finish()
        #expect(try counted() == 2)
        _ = try registry.openMetrics()
    }

    @Test func `a peer of another recorder is counted in the recorder that is used`() throws {
        let other = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        let theirs = HTTPClientRecorder(registry: other)
        let foreign = theirs.peer("stock.internal", port: 8080)
        for _ in 0..<3 { theirs.begin(method: "GET", to: foreign).finish(.failed(OutOfStock())) }
        recorder.begin(method: "GET", to: foreign).finish(.failed(OutOfStock()))
        try expectOne("", error: "OutOfStock")
        let labels = Self.labels("", error: "OutOfStock")
        try other.expect("\(Self.durations)_count", labels, 3)
    }

    @Test func `label sets beyond a peer's slots are all counted`() throws {
        for status in 100..<160 {
            for method in ["GET", "POST"] {
                for _ in 0..<2 {
                    let token = recorder.begin(method: method, to: stock)
                    token.setStatus(status)
                    token.finish()
                }
            }
        }
        let samples = try registry.samples("\(Self.durations)_count")
        #expect(samples.count == 120)
        #expect(samples.allSatisfy { $0.value == 2 })
    }

    // MARK: - Exemplars

    @Test func `the current trace is the exemplar`() throws {
        var configuration = HTTPClientRecorder.Configuration()
        configuration.traceparent = { "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" }
        let recorder = HTTPClientRecorder(registry: registry, configuration: configuration)
        recorder.begin(method: "GET", to: stock).finish()
        let found = try registry.exemplars(on: Self.durations).map(\.labels)
        let trace = [
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7",
        ]
        #expect(found == [trace])
    }

    @Test func `two recorders on one registry share their series`() throws {
        let other = HTTPClientRecorder(registry: registry)
        recorder.begin(method: "GET", to: stock).finish()
        other.begin(method: "GET", to: other.peer("stock.internal", port: 8080)).finish()
        try registry.expect("\(Self.durations)_count", Self.labels(""), 2)
    }
}
