// SPDX-License-Identifier: Apache-2.0
// Tests of the responses that a client gets from pages over a real socket.

import OutriderEndpoint
import OutriderThreading
import Synchronization
import TestSupport
import Testing

@Suite struct PageTests {
    @Test func `a page is served under its path and its aliases`() throws {
        let endpoint = try startEndpoint([TestPage(path: "/hello", aliases: ["/-/hi"])])
        defer { endpoint.stop() }
        for path in ["/hello", "/-/hi", "/hello?x=1"] {
            let response = try fetch(path, from: endpoint.address)
            #expect(response.status == 200)
            #expect(response.text == "hello\n")
            #expect(response.header("Content-Type") == "text/plain; charset=utf-8")
            #expect(response.header("X-Content-Type-Options") == "nosniff")
        }
    }

    @Test func `an unknown path gets 404 with a pointer to the landing page`() throws {
        let endpoint = try startEndpoint()
        defer { endpoint.stop() }
        for path in ["/nothing", "/hello/", "/HELLO", "/hello%2F"] {
            let response = try fetch(path, from: endpoint.address)
            #expect(response.status == 404)
            #expect(response.text.contains("See / for"))
        }
    }

    @Test func `HEAD returns the headers of GET without a body`() throws {
        let endpoint = try startEndpoint()
        defer { endpoint.stop() }
        let connection = try Connection(endpoint.address)
        try connection.send("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        let head = try connection.response(isHead: true)
        try connection.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        let get = try connection.response()
        #expect(head.header("Content-Length") == "6")
        #expect(head.header("Content-Type") == get.header("Content-Type"))
        #expect(get.text == "hello\n")
    }

    @Test(arguments: ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
    func `another method gets 405 with the allowed methods`(method: String) throws {
        let endpoint = try startEndpoint()
        defer { endpoint.stop() }
        let response = try fetch("/hello", from: endpoint.address, method: method)
        #expect(response.status == 405)
        #expect(response.header("Allow") == "GET, HEAD")
    }

    @Test func `the landing page links the pages, escaped`() throws {
        let endpoint = try startEndpoint([TestPage(path: "/a&b"), TestPage(path: "/c")])
        defer { endpoint.stop() }
        let landing = try fetch("/", from: endpoint.address)
        #expect(landing.header("Content-Type") == "text/html; charset=utf-8")
        #expect(
            landing.text.contains(#"<a href="/a&amp;b">/a&amp;b</a> for &lt;tests&gt; &amp; more"#))
        #expect(landing.text.contains(#"<a href="/c">"#))
    }

    @Test func `the landing page shows current notices, escaped and truncated`() throws {
        let count = Atomic<Int>(0)
        let endpoint = try startEndpoint { configuration in
            configuration.notices = { [text = String(repeating: "x", count: 1_005)] _ in
                let number = count.wrappingAdd(1, ordering: .relaxed).newValue
                return ["<script>alert(\"\(number)\")</script> & more", text]
            }
        }
        defer { endpoint.stop() }
        for number in 1...2 {
            let landing = try fetch("/", from: endpoint.address)
            #expect(landing.header("Cache-Control") == "no-store")
            #expect(
                landing.text.contains(
                    "<p>&lt;script&gt;alert(&quot;\(number)&quot;)&lt;/script&gt; &amp; more</p>"))
            #expect(landing.text.contains("<p>" + String(repeating: "x", count: 1_000) + "</p>"))
            #expect(landing.text.contains(#"<a href="/hello">"#))
        }
    }

    @Test func `the landing page shows at most fifty notices`() throws {
        let endpoint = try startEndpoint { configuration in
            configuration.notices = { _ in (0..<10_000).map { "notice \($0)" } }
        }
        defer { endpoint.stop() }
        let text = try fetch("/", from: endpoint.address).text
        #expect(text.contains("<p>notice 49</p>"))
        #expect(!text.contains("notice 50"))
    }

    @Test func `a page gets the decoded query, and headers regardless of case`() throws {
        let endpoint = try startEndpoint([
            TestPage(path: "/echo") { request in
                .text("\(request.arguments("name[]")) \(request.header("x-THING") ?? "none")")
            }
        ])
        defer { endpoint.stop() }
        let connection = try Connection(endpoint.address)
        try connection.send(
            "GET /echo?name[]=a%20b&name%5B%5D=c&other HTTP/1.1\r\nHost: a\r\n"
                + "X-Thing: one\r\nx-thing: two\r\n\r\n")
        #expect(try connection.response().text == #"["a b", "c"] one, two"#)
    }

    @Test func `a body of several megabytes arrives complete`() throws {
        let pattern = (0..<65_536).map { UInt8(truncatingIfNeeded: $0 ^ ($0 >> 8)) }
        let body = (0..<140).reduce(into: []) { body, _ in body += pattern }
        let endpoint = try startEndpoint([
            TestPage(path: "/big") { _ in Response(status: 200, headers: [], body: body) }
        ])
        defer { endpoint.stop() }
        let response = try fetch("/big", from: endpoint.address)
        #expect(response.body == body)
    }

    @Test func `a page cannot inject a header`() throws {
        let logged = Atomic<Int>(0)
        let endpoint = try startEndpoint([
            TestPage(path: "/split") { _ in
                Response(
                    status: 200, headers: [("X-A", "1\r\nX-Evil: 2"), ("X-B", "3")], body: [])
            }
        ]) { $0.log = { _ in logged.add(1, ordering: .relaxed) } }
        defer { endpoint.stop() }
        let response = try fetch("/split", from: endpoint.address)
        #expect(response.status == 200)
        #expect(response.header("X-Evil") == nil)
        #expect(response.header("X-B") == "3")
        #expect(logged.load(ordering: .relaxed) == 1)
    }

    @Test func `each response is reported under a bounded set of names`() throws {
        let reported = Guarded<[String]>([])
        let endpoint = try startEndpoint {
            $0.onResponse = { page, status in reported.withLock { $0.append("\(page) \(status)") } }
        }
        defer { endpoint.stop() }
        _ = try fetch("/hello?q", from: endpoint.address)
        _ = try fetch("/scan/1", from: endpoint.address)
        _ = try fetch("/hello", from: endpoint.address, method: "POST")
        #expect(reported.withLock { $0 } == ["/hello 200", "_UNMATCHED 404", "_REFUSED 405"])
    }

    @Test func `twenty pipelined requests get twenty responses in order`() throws {
        let endpoint = try startEndpoint([
            TestPage(path: "/n") { .text($0.arguments("i").joined()) }
        ])
        defer { endpoint.stop() }
        let connection = try Connection(endpoint.address)
        try connection.send(
            (0..<20).map { "GET /n?i=\($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined())
        for number in 0..<20 {
            #expect(try connection.response().text == "\(number)")
        }
    }

    @Test func `a page at its concurrency limit refuses the next request with 503`() throws {
        let gate = BlockingGate()
        let endpoint = try startEndpoint([
            TestPage(path: "/slow") { _ in
                gate.pass()
                return .text("slow")
            }, TestPage(path: "/quick"),
        ])
        defer { endpoint.stop() }
        let waiting = try (0..<8).map { _ in
            let connection = try Connection(endpoint.address)
            try connection.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(gate.waitForArrival())
            return connection
        }
        let refused = try fetch("/slow", from: endpoint.address)
        #expect(refused.status == 503)
        #expect(refused.header("Retry-After") == "1")
        #expect(try fetch("/quick", from: endpoint.address).status == 200)
        for connection in waiting {
            gate.open()
            _ = connection
        }
        for connection in waiting { #expect(try connection.response().text == "slow") }
        gate.open()
        #expect(
            try eventually {
                try fetch("/slow", from: endpoint.address).status == 200
            })
    }

    @Test func `a path that two pages claim belongs to the first, and the conflict is logged`()
        throws
    {
        let logged = Guarded<[String]>([])
        let endpoint = try startEndpoint([
            TestPage(path: "/a") { _ in .text("first") }, TestPage(path: "/a") { _ in .text("2") },
            TestPage(path: "b"),
        ]) { $0.log = { line in logged.withLock { $0.append(line) } } }
        defer { endpoint.stop() }
        #expect(try fetch("/a", from: endpoint.address).text == "first")
        #expect(logged.withLock { $0.count } == 2)
        let links = try fetch("/", from: endpoint.address).text.split(separator: "href=").count - 1
        #expect(links == 1)
    }

    @Test func `a quote with a combining mark cannot break out of its attribute`() throws {
        let endpoint = try startEndpoint([TestPage(path: "/a\"\u{301} onmouseover=x")])
        defer { endpoint.stop() }
        let landing = try fetch("/", from: endpoint.address).text
        #expect(landing.contains("href=\"/a&quot;\u{301} onmouseover=x\""))
    }

    @Test func `a slow page does not delay other pages`() throws {
        let gate = BlockingGate()
        let endpoint = try startEndpoint([
            TestPage(path: "/slow") { _ in
                gate.pass()
                return .text("slow")
            }, TestPage(path: "/quick"),
        ])
        defer { endpoint.stop() }
        let slow = try Connection(endpoint.address)
        try slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(gate.waitForArrival())
        #expect(try fetch("/quick", from: endpoint.address).status == 200)
        gate.open()
        #expect(try slow.response().text == "slow")
    }
}
