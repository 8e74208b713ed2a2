// SPDX-License-Identifier: Apache-2.0
// Spans of profiles that are shared, limited, left and stopped.

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

    @Test func `those who come together share one span`() throws {
        let source = CountingSource("heap")
        let agent = startAgent(source, time: time)
        defer { agent.stop() }
        let place = try address(of: agent)
        // All of them come within its first second.
        let connections = try (0..<6).map { _ in try askForSpan(100, from: place) }
        #expect(time.awaitWaiter(in: .seconds(100), count: 6))
        time.advance(by: .seconds(100))
        for connection in connections {
            #expect(try connection.response(within: 60).text.contains("\n100 @ 0x7\n"))
        }
        #expect(source.looks.load(ordering: .relaxed) == 2)
    }

    @Test func `past two spans at a time there is 503 and the advice when to come again`() throws {
        let agent = startAgent(CountingSource("heap"), time: time)
        defer { agent.stop() }
        let place = try address(of: agent)
        var waiting = try [100, 200].map { seconds in
            let connection = try askForSpan(seconds, from: place)
            #expect(time.awaitWaiter(in: .seconds(seconds)))
            return connection
        }
        let refusal = try fetch("/debug/pprof/heap?seconds=1", from: place)
        #expect(refusal.status == 503)
        #expect(refusal.header("Retry-After") == "1")
        #expect(try fetch("/debug/pprof/heap", from: place).status == 200, "moments go on")
        // Clients who leave make room for others: as soon as their requests are over, which are
        // counted as the refusal is.
        #expect(waiting.count == 2)
        waiting = []
        #expect(
            eventually {
                agent.registry.value(
                    "outrider_http_requests_total", ["page": "/debug/pprof/heap", "code": "503"])
                    == 3
            })
        let next = try askForSpan(300, from: place)
        #expect(time.awaitWaiter(in: .seconds(300)))
        time.advance(by: .seconds(300))
        #expect(try next.response(within: 60).status == 200)
    }

    @Test func `a stop answers those who wait for a long span`() throws {
        let agent = startAgent(CountingSource("heap"), time: time)
        let connection = try askForSpan(300, from: address(of: agent))
        #expect(time.awaitWaiter(in: .seconds(300)))
        agent.stop()
        #expect(try connection.response(within: 60).status == 503)
    }
}
