// SPDX-License-Identifier: Apache-2.0
// Tests of time spans of profiles: sharing, limits, disconnects and stopping.

import Outrider
import OutriderEndpoint
import OutriderMetrics
import OutriderTesting
import Synchronization
import TestSupport
import Testing

@Suite struct ProfilePageConcurrencyTests {
    private let time = ManualTime()

    private func askForSpan(_ seconds: Int, from address: ListenAddress) throws -> Connection {
        let connection = try Connection(address)
        try connection.send(
            "GET /debug/pprof/heap?seconds=\(seconds)&debug=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return connection
    }

    @Test func `concurrent requests for the same span share one`() throws {
        let source = CountingSource("heap")
        let agent = startAgent(source, time: time)
        defer { agent.stop() }
        let listener = try address(of: agent)
        // All requests arrive within the span's first second.
        let connections = try (0..<6).map { _ in try askForSpan(100, from: listener) }
        #expect(time.awaitWaiter(in: .seconds(100), count: 6))
        time.advance(by: .seconds(100))
        for connection in connections {
            #expect(try connection.response(within: 60).text.contains("\n100 @ 0x7\n"))
        }
        #expect(source.looks.load(ordering: .relaxed) == 2)
    }

    @Test func `beyond two concurrent spans, requests get 503 with Retry-After`() throws {
        let agent = startAgent(CountingSource("heap"), time: time)
        defer { agent.stop() }
        let listener = try address(of: agent)
        var waiting = try [100, 200].map { seconds in
            let connection = try askForSpan(seconds, from: listener)
            #expect(time.awaitWaiter(in: .seconds(seconds)))
            return connection
        }
        let refusal = try fetch("/debug/pprof/heap?seconds=1", from: listener)
        #expect(refusal.status == 503)
        #expect(refusal.header("Retry-After") == "1")
        #expect(
            try fetch("/debug/pprof/heap", from: listener).status == 200,
            "requests without a span have no limit")
        // Clients that disconnect make room for others once their requests have ended, which are
        // then counted like the refused one.
        #expect(waiting.count == 2)
        waiting = []
        #expect(
            eventually {
                agent.registry.value(
                    "outrider_http_requests_total", ["page": "/debug/pprof/heap", "code": "503"])
                    == 3
            })
        let next = try askForSpan(300, from: listener)
        #expect(time.awaitWaiter(in: .seconds(300)))
        time.advance(by: .seconds(300))
        #expect(try next.response(within: 60).status == 200)
    }

    @Test func `stopping the agent ends pending spans with 503`() throws {
        let agent = startAgent(CountingSource("heap"), time: time)
        let connection = try askForSpan(300, from: address(of: agent))
        #expect(time.awaitWaiter(in: .seconds(300)))
        agent.stop()
        #expect(try connection.response(within: 60).status == 503)
    }
}
