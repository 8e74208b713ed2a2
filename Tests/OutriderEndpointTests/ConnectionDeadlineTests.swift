// SPDX-License-Identifier: Apache-2.0
// Tests of connection deadlines: a client keeps a connection until its deadline and no longer,
// whatever it sends or reads.
//
// Sockets and threads are real; time is virtual. Tests/Integration/test_slow_clients.py covers one
// case of each deadline in real time, and all of the idle timeout, which libmicrohttpd enforces.

import OutriderEndpoint
import OutriderThreading
import TestSupport
import Testing

/// Records the connections that an endpoint or a table cuts.
private final class Cuts: Sendable {
    private let all = Guarded<[CutReason]>([])
    private let isThereOne = Latch()

    func note(_ reason: CutReason) {
        all.withLock { $0.append(reason) }
        isThereOne.open()
    }

    var soFar: [CutReason] { all.withLock { $0 } }

    /// All reasons so far, once there is at least one.
    func afterFirst() -> [CutReason] {
        _ = isThereOne.wait(for: .seconds(60))
        return soFar
    }
}

/// The kind of address to listen on; every deadline holds for both.
enum SocketKind: CaseIterable, Sendable {
    case tcp
    case unix

    func freshAddress() -> ListenAddress {
        self == .tcp ? .loopback(port: 0) : .unix(path: freshSocketPath())
    }
}

@Suite struct ConnectionDeadlineTests {
    private let time = ManualTime()
    private let cuts = Cuts()

    private static let header = Duration.seconds(10)
    private static let answer = Duration.seconds(300)
    /// Hours, so that libmicrohttpd never cuts: its clock is the real one.
    private static let idle = Duration.seconds(36_000)
    /// More than the kernel buffers for a client that does not read.
    private static let largeBytes = 32 << 20

    private func start(
        _ kind: SocketKind, pages: [any Page] = [TestPage(path: "/hello")],
        answer: Duration = Self.answer
    ) throws -> Endpoint {
        try startEndpoint(pages, at: kind.freshAddress()) {
            $0.limits.headerTimeout = Self.header
            $0.limits.responseTimeout = answer
            $0.limits.idleTimeout = Self.idle
            // So that a test that fails during a response still ends.
            $0.limits.drainTimeout = .zero
            $0.time = time
            $0.onCut = { [cuts] reason in cuts.note(reason) }
        }
    }

    /// Expects nothing more from a cut connection, or a 408.
    private func expectNothingBut408(_ client: Connection) throws {
        let rest = String(decoding: try client.bytes(1 << 16, within: 60), as: UTF8.self)
        #expect(rest.isEmpty || rest.hasPrefix("HTTP/1.1 408 "), "\(rest)")
    }

    // MARK: - Requests

    @Test(
        arguments: SocketKind.allCases,
        ["", "GET /hello HTTP/1.1\r\n", "GET /hello HTTP/1.1\r\nHost: localhost\r\nX-A: "])
    func `a request that arrives byte by byte is cut at the header deadline, and not before`(
        kind: SocketKind, start: String
    ) throws {
        let endpoint = try self.start(kind)
        defer { endpoint.stop() }
        let client = try Connection(endpoint.address)
        try #require(time.awaitWaiter(in: Self.header))
        try client.send(start)
        for second in 1...9 {
            try client.send("a")
            time.advance(by: .seconds(1))
            // The cutting thread waits for the deadline and for nothing earlier.
            try #require(time.awaitWaiter(in: Self.header - .seconds(second)))
        }
        try client.send("a")
        #expect(cuts.soFar.isEmpty)
        time.advance(by: .seconds(1))
        try expectNothingBut408(client)
        #expect(cuts.afterFirst() == [.requestTimeout])
        #expect(try fetch("/hello", from: endpoint.address).status == 200)
    }

    @Test(arguments: SocketKind.allCases)
    func `a silent connection is cut at the header deadline, and not before`(
        kind: SocketKind
    ) throws {
        let endpoint = try start(kind)
        defer { endpoint.stop() }
        let client = try Connection(endpoint.address)
        try #require(time.awaitWaiter(in: Self.header))
        time.advance(by: Self.header - .milliseconds(1))
        try #require(time.awaitWaiter(in: .milliseconds(1)))
        #expect(cuts.soFar.isEmpty)
        time.advance(by: .milliseconds(1))
        try expectNothingBut408(client)
        #expect(cuts.afterFirst() == [.requestTimeout])
    }

    @Test(arguments: SocketKind.allCases)
    func `a request sent in pieces within the header deadline is answered`(
        kind: SocketKind
    ) throws {
        let endpoint = try start(kind)
        defer { endpoint.stop() }
        let client = try Connection(endpoint.address)
        try #require(time.awaitWaiter(in: Self.header))
        let request = Array("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
        for byte in request {
            // All but a tenth of a second, split into one step per byte.
            time.advance(by: (Self.header - .milliseconds(100)) / request.count)
            try client.send(bytes: [byte])
        }
        #expect(try client.response().text == "hello\n")
        #expect(cuts.soFar.isEmpty)
    }

    @Test(arguments: SocketKind.allCases)
    func `the next request on a kept-alive connection has a deadline too`(
        kind: SocketKind
    ) throws {
        // The client may receive its response before the server notes that the connection waits
        // again, which starts the deadline. So the response timeout is longer than the whole test.
        let endpoint = try start(kind, answer: .seconds(86_400))
        defer { endpoint.stop() }
        let client = try Connection(endpoint.address)
        try client.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(try client.response().status == 200)
        let begin = time.now
        var rest: [UInt8]?
        while rest == nil, time.now - begin < .seconds(3_600_000) {
            try? client.send("a")
            time.advance(by: Self.idle + Self.header)
            rest = try? client.bytes(1 << 16, within: 1)
        }
        let text = String(decoding: try #require(rest), as: UTF8.self)
        #expect(text.isEmpty || text.hasPrefix("HTTP/1.1 408 "), "\(text)")
        #expect(time.now - begin >= Self.idle + Self.header)
        #expect(cuts.afterFirst() == [.requestTimeout])
    }

    @Test func `the idle timeout differs from common scrape intervals by at least ten seconds`() {
        let idle = Endpoint.Limits().idleTimeout
        for interval: Duration in [5, 10, 15, 20, 30, 60, 90, 120].map({ .seconds($0) }) {
            #expect(max(idle, interval) - min(idle, interval) >= .seconds(10))
        }
    }

    @Test func `the request deadline restarts after each response`() throws {
        var limits = Endpoint.Limits()
        limits.headerTimeout = .seconds(10)
        limits.idleTimeout = .seconds(30)
        let table = ConnectionTable(limits: limits, time: time, onCut: cuts.note)
        let pair = try SocketPair()
        func answer(_ id: ConnectionTable.ID) {
            table.noteRequest(id)
            table.noteResponse(id, by: nil)
            table.noteCompletion(id)
        }
        let id = try #require(table.admit(pair.near, from: [127, 0, 0, 1]))
        try #require(time.awaitWaiter(in: .seconds(10)))
        answer(id)
        // The first request's deadline passes; the next deadline is 40 s after the response.
        time.advance(by: .seconds(10))
        try #require(time.awaitWaiter(in: .seconds(30)))
        time.advance(by: .seconds(29))
        answer(id)
        time.advance(by: .seconds(1))
        try #require(time.awaitWaiter(in: .seconds(39)))
        #expect(cuts.soFar.isEmpty && !pair.isCut)
        time.advance(by: .seconds(39))
        #expect(cuts.afterFirst() == [.requestTimeout])
        #expect(pair.isCut)
    }

    // MARK: - Responses

    /// Starts an endpoint with a large page, and a client that has read the beginning of it.
    ///
    /// The time left for the response is the response timeout less the header timeout.
    private func startReading(_ kind: SocketKind) throws -> (Endpoint, Connection) {
        let body = [UInt8](repeating: 0x78, count: Self.largeBytes)
        let large = TestPage(path: "/large") { _ in
            Response(status: 200, headers: [], body: body)
        }
        let endpoint = try start(kind, pages: [large, TestPage(path: "/hello")])
        let client = try Connection(endpoint.address)
        try #require(time.awaitWaiter(in: Self.header))
        try client.send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(try client.text(upTo: "\r\n\r\n", within: 60).hasPrefix("HTTP/1.1 200 "))
        time.advance(by: Self.header)
        // The request is complete, so the next deadline is the response's.
        try #require(time.awaitWaiter(in: Self.answer - Self.header))
        return (endpoint, client)
    }

    @Test(arguments: SocketKind.allCases)
    func `a client that reads slowly is cut at the response deadline, and not before`(
        kind: SocketKind
    ) throws {
        let (endpoint, client) = try startReading(kind)
        defer { endpoint.stop() }
        var taken = 0
        for step in 2...29 {
            taken += try client.bytes(4_096, within: 60).count
            time.advance(by: .seconds(10))
            try #require(time.awaitWaiter(in: Self.answer - .seconds(10 * step)))
        }
        #expect(cuts.soFar.isEmpty)
        // Other clients are served.
        #expect(try fetch("/hello", from: endpoint.address).status == 200)
        time.advance(by: .seconds(10))
        #expect(cuts.afterFirst() == [.responseTimeout])
        taken += client.drain(within: 60)
        #expect(taken >= 28 * 4_096 && taken < Self.largeBytes)
    }

    @Test(arguments: SocketKind.allCases)
    func `a slow reader within the response deadline gets the whole body`(kind: SocketKind) throws {
        let (endpoint, client) = try startReading(kind)
        defer { endpoint.stop() }
        var taken = 0
        for _ in 2...29 {
            taken += try client.bytes(4_096, within: 60).count
            time.advance(by: .seconds(10))
        }
        // The machine determines how long the last ten virtual seconds take.
        taken += try client.bytes(Self.largeBytes - taken, within: 300).count
        #expect(taken == Self.largeBytes)
        #expect(cuts.soFar.isEmpty)
    }
}
