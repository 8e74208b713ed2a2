// SPDX-License-Identifier: Apache-2.0
// Pages for operators are for operators, wherever the endpoint listens.

import Glibc
import OutriderEndpoint
import TestSupport
import Testing

@Suite struct AccessTests {
    private static let pages: [any Page] = [
        TestPage(path: "/hello"), TestPage(path: "/debug/x"),
        TestPage(path: "/private", audience: .operators),
    ]

    private func status(
        _ path: String, of endpoint: Endpoint, host: String = "localhost", _ more: String = ""
    ) throws -> Int {
        let connection = try Connection(endpoint.address)
        try connection.send("GET \(path) HTTP/1.1\r\nHost: \(host)\r\n\(more)\r\n")
        return try connection.response().status
    }

    @Test(arguments: [
        ("localhost", 200), ("LOCALHOST:9464", 200), ("localhost.", 200), ("127.0.0.1:1", 200),
        ("[::1]:9464", 200), ("10.1.2.3", 200), ("shop.internal:9464", 200),
        ("SHOP.internal.", 200),
        ("evil.example", 403), ("localhost.evil.example", 403), ("127.0.0.1.evil.example", 403),
        ("127.1", 403), ("0x7f000001", 403), ("", 403), ("internal", 403),
    ])
    func `on the loopback address, by the name that the client has for us`(
        host: String, expected: Int
    ) throws {
        let endpoint = try startEndpoint(Self.pages) { $0.access.hostNames = ["shop.internal"] }
        defer { endpoint.stop() }
        for path in ["/debug/x", "/private", "/%64ebug/x"] {
            #expect(try status(path, of: endpoint, host: host) == expected, "\(path)")
        }
        #expect(try status("/hello", of: endpoint, host: host) == 200)
    }

    @Test func `on any other address, with the token and not without`() throws {
        let path = "/tmp/outrider-test-\(UInt64.random(in: 0 ... .max)).token"
        defer { unsafe unlink(path) }
        let endpoint = try startEndpoint(Self.pages, at: try ListenAddress("0.0.0.0:0")) {
            $0.access.tokenFile = path
        }
        defer { endpoint.stop() }
        let right = "Authorization: Bearer sesame\r\n"
        #expect(try status("/debug/x", of: endpoint, right) == 403, "there is no file yet")
        try write("sesame\nsecond line\n", to: path)
        #expect(try status("/debug/x", of: endpoint, right) == 200)
        #expect(try status("/private", of: endpoint, host: "any.example", right) == 200)
        #expect(try status("/debug/x", of: endpoint) == 401)
        #expect(try status("/debug/x", of: endpoint, "Authorization: Bearer sesamf\r\n") == 401)
        #expect(try status("/debug/x", of: endpoint, right + "Origin: null\r\n") == 403)
        #expect(try status("/debug/nothing", of: endpoint) == 401)
        try write("changed", to: path)
        #expect(try status("/debug/x", of: endpoint, right) == 401)
        #expect(try status("/hello", of: endpoint) == 200)
    }

    @Test func `the landing page tells of them only where they may be seen`() throws {
        let local = try startEndpoint(Self.pages)
        defer { local.stop() }
        #expect(try fetch("/", from: local.address).text.contains("/debug/x"))
        let remote = try startEndpoint(Self.pages, at: try ListenAddress("0.0.0.0:0"))
        defer { remote.stop() }
        let page = try fetch("/", from: remote.address).text
        #expect(page.contains("/hello") && !page.contains("/debug") && !page.contains("/private"))
    }

    @Test func `the loopback address is local in every spelling`() throws {
        for text in ["[::1]:0", "[0:0:0:0:0:0:0:1]:0", "127.1.2.3:0", "localhost:0", "unix:/a"] {
            #expect(try ListenAddress(text).isLocal, "\(text)")
        }
        for text in ["[::]:0", "[::2]:0", "[1::1]:0", "0.0.0.0:0", "[::ffff:127.0.0.1]:0"] {
            #expect(try !ListenAddress(text).isLocal, "\(text)")
        }
    }

    @Test func `on any other address without a token file, nobody`() throws {
        let endpoint = try startEndpoint(Self.pages, at: try ListenAddress("0.0.0.0:0"))
        defer { endpoint.stop() }
        for path in ["/debug", "/debug/x", "/private"] {
            #expect(try status(path, of: endpoint, "Authorization: Bearer x\r\n") == 403)
        }
    }

    private func write(_ text: String, to path: String) throws {
        let file = unsafe try #require(unsafe fopen(path, "w"))
        unsafe fputs(text, file)
        unsafe fclose(file)
    }
}
