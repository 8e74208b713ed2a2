// SPDX-License-Identifier: Apache-2.0
// Spans of profiles that are shared, limited, left and stopped.

import Outrider
import OutriderEndpoint
import OutriderMetrics
import Synchronization
import TestSupport
import Testing

@Suite struct ProfilePageConcurrencyTests {
    @Test func `those who come together share one span`() async throws {
        let source = CountingSource("heap")
        let agent = startAgent(source)
        defer { agent.stop() }
        let place = try address(of: agent)
        let connections = try (0..<6).map { _ in try Connection(place) }
        // All of them within its first second.
        for connection in connections {
            try connection.send(
                "GET /debug/pprof/heap?seconds=10&debug=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        }
        for connection in connections {
            #expect(try connection.response().text.contains("\n100 @ 0x7\n"))
        }
        #expect(source.looks.load(ordering: .relaxed) == 2)
    }

    @Test func `past two spans at a time there is 503 and the advice when to come again`() throws {
        let source = CountingSource("heap")
        let agent = startAgent(source)
        defer { agent.stop() }
        let place = try address(of: agent)
        var waiting = try [100, 200].map { seconds in
            let connection = try Connection(place)
            try connection.send(
                "GET /debug/pprof/heap?seconds=\(seconds) HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection
        }
        // Each span begins with a look.
        #expect(eventually(within: 120) { source.looks.load(ordering: .relaxed) == waiting.count })
        let refusal = try fetch("/debug/pprof/heap?seconds=1", from: place)
        #expect(refusal.status == 503)
        #expect(refusal.header("Retry-After") == "1")
        #expect(try fetch("/debug/pprof/heap", from: place).status == 200, "moments go on")
        // Clients who leave make room for others.
        waiting = []
        #expect(
            try eventually(within: 120) {
                try fetch("/debug/pprof/heap?seconds=1", from: place).status == 200
            })
    }

    @Test func `a stop answers those who wait for a long span`() throws {
        let agent = startAgent(CountingSource("heap"))
        let connection = try Connection(address(of: agent))
        try connection.send(
            "GET /debug/pprof/heap?seconds=9999 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(
            eventually(within: 120) {
                agent.registry.text().contains("counting_looks 1\n")
            })
        agent.stop()
        #expect(try connection.response().status == 503)
    }
}
