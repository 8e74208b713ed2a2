// SPDX-License-Identifier: Apache-2.0
// Tests that series expire only after a scrape was delivered to a client.

import Outrider
import OutriderTesting
import OutriderThreading
import TestSupport
import Testing

@Suite struct DeliveryTests {
    /// Holds responses to scrapes while it is closed.
    private final class Barrier: Sendable {
        private let latch = Guarded<Latch?>(nil)
        let entered = Latch()

        func close() { latch.withLock { $0 = Latch() } }

        func open() { latch.withLock { $0 }?.open() }

        func pass() {
            guard let latch = latch.withLock({ $0 }) else { return }
            entered.open()
            _ = latch.wait(for: .seconds(60))
        }
    }

    @Test func `HEAD requests and clients that disconnect do not expire idle series`() throws {
        let clock = ManualClock()
        var configuration = isolated()
        let registry = Registry(log: configuration.log, clock: clock)
        configuration.registry = registry
        let agent = Agent.start(configuration)
        defer { agent.stop() }
        let address = try address(of: agent)
        let limit = SeriesLimit(idleTime: .seconds(2))
        let hits = registry.counter("hits", help: "Hits.", labels: ["n"], limit: limit)
        hits.with("a").increment()
        for _ in 0..<3 {
            _ = try fetch("/metrics", from: address, method: "HEAD")
            clock.advance(by: .seconds(2))
        }
        for _ in 0..<3 {
            // The client has disconnected before the response is ready.
            let barrier = Barrier()
            barrier.close()
            registry.gauge("slow", help: "Slow.") {
                barrier.pass()
                return 1
            }
            do {
                let connection = try Connection(address)
                try connection.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                #expect(barrier.entered.wait(for: .seconds(60)))
            }
            barrier.open()
            registry.unregister("slow")
            clock.advance(by: .seconds(2))
        }
        let line = #"hits_total{n="a"} 1"#
        #expect(try fetch("/metrics", from: address).text.contains(line))
        #expect(
            try eventually {
                clock.advance(by: .seconds(2))
                return try !fetch("/metrics", from: address).text.contains(line)
            })
    }
}
