// SPDX-License-Identifier: Apache-2.0
// Tests of access control for operator pages on each kind of listen address.

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
    func `on a trusted loopback address, operator pages are served only under accepted host names`(
        host: String, expected: Int
    ) throws {
        let endpoint = try startEndpoint(Self.pages) {
            $0.access.trustsLoopback = true
            $0.access.hostNames = ["shop.internal"]
        }
        defer { endpoint.stop() }
        for path in ["/debug/x", "/private", "/%64ebug/x"] {
            #expect(try status(path, of: endpoint, host: host) == expected, "\(path)")
        }
        #expect(try status("/hello", of: endpoint, host: host) == 200)
    }

    /// Addresses of each kind; the file of the Unix socket is removed when its endpoint stops.
    private static var everyKind: [ListenAddress] {
        get throws {
            [
                .loopback(port: 0), try ListenAddress("[::1]:0"), try ListenAddress("0.0.0.0:0"),
                .unix(path: freshSocketPath()),
            ]
        }
    }

    @Test func `a configured token is required on every address`() throws {
        for address in try Self.everyKind {
            for trustsLoopback in [false, true] {
                try requireToken(at: address, trustsLoopback: trustsLoopback)
            }
        }
    }

    private func requireToken(at address: ListenAddress, trustsLoopback: Bool) throws {
        let path = "/tmp/outrider-test-\(UInt64.random(in: 0 ... .max)).token"
        defer { unsafe unlink(path) }
        let endpoint = try startEndpoint(Self.pages, at: address) {
            $0.access.tokenFile = path
            $0.access.trustsLoopback = trustsLoopback
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
        // With the token, a proxy may forward the request.
        let changed = "Authorization: Bearer changed\r\n"
        #expect(try status("/debug/x", of: endpoint, changed + "Via: 1.1 proxy\r\n") == 200)
    }

    @Test func `an untrusted loopback address refuses operator pages without a token`() throws {
        for address in [.loopback(port: 0), try ListenAddress("[::1]:0")] {
            let endpoint = try startEndpoint(Self.pages, at: address)
            defer { endpoint.stop() }
            for path in ["/debug", "/debug/x", "/debug/nothing", "/private", "/%64ebug/x"] {
                for host in ["localhost", "127.0.0.1", "shop.example"] {
                    #expect(try status(path, of: endpoint, host: host) == 403, "\(path) \(host)")
                }
            }
            #expect(try status("/hello", of: endpoint) == 200)
        }
    }

    @Test func `a Unix socket serves operator pages to every client that its file mode admits`()
        throws
    {
        let endpoint = try startEndpoint(Self.pages, at: .unix(path: freshSocketPath()))
        defer { endpoint.stop() }
        #expect(try status("/debug/x", of: endpoint) == 200)
        #expect(try status("/debug/x", of: endpoint, host: "evil.example") == 403)
    }

    @Test(arguments: [
        "Forwarded: for=192.0.2.60", "Forwarded:", "VIA: 1.1 varnish", "X-Forwarded-For: 192.0.2.1",
        "x-forwarded-proto: https", "X-Forwarded-Host: shop.example", "X-Forwarded: 1",
        "X-Original-Forwarded-For: 192.0.2.1", "X-Real-IP: 127.0.0.1", "X-Client-IP: 127.0.0.1",
        "X-Cluster-Client-Ip: 1", "True-Client-IP: 192.0.2.1", "Proxy-Client-IP: 192.0.2.1",
        "WL-Proxy-Client-IP: 192.0.2.1", "Client-IP: 192.0.2.1", "CF-Connecting-IP: 192.0.2.1",
        "X-Envoy-Expected-Rq-Timeout-Ms: 15000", "X-Original-URL: /debug", "CDN-Loop: a",
        "Proxy-Connection: keep-alive", "Max-Forwards: 1", "X-ProxyUser-Ip: 192.0.2.1",
    ])
    func `a request with a proxy's header field does not count as local`(field: String) throws {
        for address in [.loopback(port: 0), ListenAddress.unix(path: freshSocketPath())] {
            let endpoint = try startEndpoint(Self.pages, at: address) {
                $0.access.trustsLoopback = true
            }
            defer { endpoint.stop() }
            for path in ["/debug/x", "/private"] {
                #expect(try status(path, of: endpoint, "\(field)\r\n") == 403)
            }
            #expect(try status("/hello", of: endpoint, "\(field)\r\n") == 200)
            #expect(
                try status("/debug/x", of: endpoint, "Accept: */*\r\nX-Request-Id: 1\r\n") == 200)
        }
    }

    @Test func `the refusal and the landing page link to a loopback operator address`() throws {
        let operators = try ListenAddress("127.0.0.1:9465")
        let endpoint = try startEndpoint(Self.pages) { $0.access.operatorAddress = { operators } }
        defer { endpoint.stop() }
        #expect(
            try fetch("/debug/x", from: endpoint.address).text.contains("http://127.0.0.1:9465/"))
        let link = #"<a href="http://127.0.0.1:9465/">http://127.0.0.1:9465/</a>"#
        #expect(try fetch("/", from: endpoint.address).text.contains(link))
    }

    @Test(arguments: ["10.1.2.3:9465", "unix:/run/secret/debug.sock"])
    func `an operator address other than loopback is not shown`(text: String) throws {
        let operators = try ListenAddress(text)
        let endpoint = try startEndpoint(Self.pages) { $0.access.operatorAddress = { operators } }
        defer { endpoint.stop() }
        for path in ["/", "/debug/x"] {
            let body = try fetch(path, from: endpoint.address).text
            #expect(!body.contains("10.1.2.3") && !body.contains("secret"))
        }
    }

    @Test func `notices for operators are shown only to requests with access to operator pages`()
        throws
    {
        let path = "/tmp/outrider-test-\(UInt64.random(in: 0 ... .max)).token"
        defer { unsafe unlink(path) }
        try write("sesame", to: path)
        func mayRead(
            _ fields: String, host: String = "localhost", _ change: (inout AccessRules) -> Void
        ) throws -> Bool {
            let endpoint = try startEndpoint(Self.pages) {
                $0.notices = { $0 == .operators ? ["holdUp()"] : ["a function"] }
                change(&$0.access)
            }
            defer { endpoint.stop() }
            let connection = try Connection(endpoint.address)
            try connection.send("GET / HTTP/1.1\r\nHost: \(host)\r\n\(fields)\r\n")
            let text = try connection.response().text
            #expect(text.contains("holdUp()") != text.contains("a function"))
            return text.contains("holdUp()")
        }
        #expect(try mayRead("") { $0.trustsLoopback = true })
        #expect(try !mayRead("") { _ in })
        #expect(try !mayRead("Via: 1.1 a\r\n") { $0.trustsLoopback = true })
        #expect(try !mayRead("", host: "evil.example") { $0.trustsLoopback = true })
        #expect(try !mayRead("Sec-Fetch-Site: same-site\r\n") { $0.trustsLoopback = true })
        #expect(
            try !mayRead("") {
                $0.trustsLoopback = true
                $0.tokenFile = path
            })
        #expect(try mayRead("Authorization: Bearer sesame\r\n") { $0.tokenFile = path })
    }

    @Test func `the landing page lists operator pages only where loopback is trusted`() throws {
        let local = try startEndpoint(Self.pages) { $0.access.trustsLoopback = true }
        defer { local.stop() }
        #expect(try fetch("/", from: local.address).text.contains("/debug/x"))
        let untrusted = try startEndpoint(Self.pages)
        defer { untrusted.stop() }
        #expect(try !fetch("/", from: untrusted.address).text.contains("/debug"))
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

    @Test func `any other address without a token file refuses operator pages`() throws {
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
