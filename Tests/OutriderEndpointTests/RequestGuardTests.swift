// SPDX-License-Identifier: Apache-2.0
// Tests of request smuggling: a request that can be read in two ways gets one response and no more.

import OutriderEndpoint
import OutriderThreading
import TestSupport
import Testing

@Suite struct RequestGuardTests {
    @Test(arguments: [
        "GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 36\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 36\r\nContent-Length: 0\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /hello HTTP/1.1\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nX\u{1}: 1\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nX-A: 1\u{1}2\r\n\r\n",
        "GET /hello%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /hello?a=%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET //hello HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x/../hello HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x\\hello HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET hello HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/hello HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 36\r\n\r\n",
        "GE@T /hello HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET  /hello HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /hello  HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET   /hello   HTTP/1.1\r\nHost: a\r\n\r\n",
    ])
    func `an ambiguous or malformed request gets one refusal, then the connection ends`(
        request: String
    ) throws {
        let endpoint = try startEndpoint()
        defer { endpoint.stop() }
        let connection = try Connection(endpoint.address)
        // The second request is the smuggled one.
        try connection.send(request + "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect((400...499).contains(try connection.response().status))
        #expect(connection.isClosed(withinMilliseconds: 60_000))
    }

    @Test func `the trial of the HTTP library finds that it handles every request safely`() throws {
        #expect(Quirks.ofLibrary { _ in }.isSafe)
    }

    @Test func `with a library of unknown quirks, each connection serves one request`() throws {
        let lines = Guarded<[String]>([])
        let endpoint = try startEndpoint {
            $0.quirks = .unknown
            $0.log = { line in lines.withLock { $0.append(line) } }
        }
        defer { endpoint.stop() }
        let connection = try Connection(endpoint.address)
        let request = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
        try connection.send(request + request)
        let response = try connection.response()
        #expect(response.status == 200)
        #expect(response.header("Connection")?.lowercased() == "close")
        #expect(connection.isClosed(withinMilliseconds: 60_000))
        #expect(
            lines.withLock { $0.contains { $0.contains("each connection is closed after one") } })
    }

    @Test(arguments: [98, 99, 100, 255, 256, 400])
    func `a dangerous header is found behind any number of others`(padding: Int) throws {
        let endpoint = try startEndpoint()
        defer { endpoint.stop() }
        let connection = try Connection(endpoint.address)
        try connection.send(
            "GET /hello HTTP/1.1\r\nHost: a\r\n" + String(repeating: "a:b\r\n", count: padding)
                + "Content-Length: 36\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                + "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect((400...499).contains(try connection.response().status))
        #expect(connection.isClosed(withinMilliseconds: 60_000))
    }

    @Test(arguments: [
        "GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "GET /hello?a=//b&c=.. HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /hell%6F HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\nX-A: caf\u{e9}\r\n\r\n",
    ])
    func `a valid request is answered and its connection kept`(request: String) throws {
        let endpoint = try startEndpoint()
        defer { endpoint.stop() }
        let connection = try Connection(endpoint.address)
        for _ in 0..<2 {
            try connection.send(request)
            #expect(try connection.response().status == 200)
        }
    }

    @Test func `a client that half-closes is answered, then its connection ends`() throws {
        let endpoint = try startEndpoint()
        defer { endpoint.stop() }
        let connection = try Connection(endpoint.address)
        try connection.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        connection.finishSending()
        #expect(try connection.response().text == "hello\n")
        #expect(connection.isClosed(withinMilliseconds: 60_000))
    }

    @Test func `an HTTP/1.0 client is answered, then its connection ends`() throws {
        let endpoint = try startEndpoint()
        defer { endpoint.stop() }
        let connection = try Connection(endpoint.address)
        try connection.send("GET /hello HTTP/1.0\r\n\r\n")
        #expect(try connection.response().status == 200)
        #expect(connection.isClosed(withinMilliseconds: 60_000))
    }
}
