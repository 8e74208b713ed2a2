// SPDX-License-Identifier: Apache-2.0
// Tests with many clients: a client that sends a request is answered, whatever the others do or do
// not do.

import Dispatch
import Glibc
import OutriderEndpoint
import OutriderThreading
import TestSupport
import Testing

@Suite struct OpenConnectionsTests {
    @Test func `idle connections give way to a client that sends a request`() throws {
        let endpoint = try startEndpoint { $0.limits.connections = 4 }
        defer { endpoint.stop() }
        var idle: [Connection] = []
        for _ in 0..<40 {
            idle.append(try Connection(endpoint.address))
            #expect(try fetch("/hello", from: endpoint.address).status == 200)
        }
        #expect(idle[0].isClosed(withinMilliseconds: 60_000))
    }

    @Test func `one address cannot take all connections`() throws {
        let endpoint = try startEndpoint {
            $0.limits.connections = 50
            $0.limits.connectionsPerAddress = 2
        }
        defer { endpoint.stop() }
        let first = try Connection(endpoint.address)
        var others: [Connection] = []
        for _ in 0..<3 {
            others.append(try Connection(endpoint.address))
            #expect(try fetch("/hello", from: endpoint.address).status == 200)
        }
        #expect(first.isClosed(withinMilliseconds: 60_000))
    }

    @Test func `an address whose connections are all in use does not displace those of others`()
        throws
    {
        let entered = DispatchSemaphore(value: 0)
        let endpoint = try startEndpoint([
            TestPage(path: "/hello"),
            TestPage(path: "/busy") { request in
                entered.signal()
                _ = request.pause(for: .seconds(3_600))
                return .text("")
            },
        ]) {
            $0.limits.connections = 50
            $0.limits.connectionsPerAddress = 2
        }
        defer { endpoint.stop() }
        let other = try Connection(endpoint.address, from: "127.0.0.2")
        try other.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try other.response().status == 200)
        let busy = try (0..<4).map { _ in
            let connection = try Connection(endpoint.address)
            try connection.send("GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(entered.wait(timeout: .now() + 60) == .success)
            return connection
        }
        try other.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try other.response().status == 200)
        withExtendedLifetime(busy) {}
    }

    @Test func `a client that reads nothing loses its permit for the page to a waiting client`()
        throws
    {
        let body = [UInt8](repeating: 0x78, count: 8 << 20)
        let endpoint = try startEndpoint([
            TestPage(path: "/large") { _ in Response(status: 200, headers: [], body: body) }
        ])
        defer { endpoint.stop() }
        // As many as the page admits.
        let stalled = try (0..<8).map { _ in
            let connection = try Connection(endpoint.address)
            try connection.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            return connection
        }
        #expect(try fetch("/large", from: endpoint.address).body.count == body.count)
        withExtendedLifetime(stalled) {}
    }

    @Test func `a connection beyond the limit gets 503 at once and is counted`() throws {
        let entered = DispatchSemaphore(value: 0)
        let cuts = Guarded<[CutReason]>([])
        let busy = TestPage(path: "/busy") { request in
            entered.signal()
            _ = request.pause(for: .seconds(3_600))
            return .text("")
        }
        let endpoint = try startEndpoint([busy]) {
            $0.limits.connectionsPerAddress = 1
            $0.onCut = { reason in cuts.withLock { $0.append(reason) } }
        }
        defer { endpoint.stop() }
        let clients = try (0..<2).map { _ in
            let client = try Connection(endpoint.address)
            try client.send("GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(entered.wait(timeout: .now() + 60) == .success)
            return client
        }
        let refusal = try Connection(endpoint.address).response()
        #expect(refusal.status == 503)
        #expect(refusal.header("Retry-After") == "1")
        #expect(cuts.withLock { $0 } == [.refused])
        withExtendedLifetime(clients) {}
    }

    @Test func `an address that connects too often gets 429 at once and is counted`() throws {
        let cuts = Guarded<[CutReason]>([])
        // Time does not advance, so all connections arrive at the same moment.
        let endpoint = try startEndpoint {
            $0.time = ManualTime()
            $0.onCut = { reason in cuts.withLock { $0.append(reason) } }
        }
        defer { endpoint.stop() }
        for _ in 0..<100 {
            let clients = try (0..<10).map { _ in try Connection(endpoint.address) }
            // All ten are accepted, since the last of them is served.
            try clients[9].send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try clients[9].response().status == 200)
        }
        let refusal = try Connection(endpoint.address).response()
        #expect(refusal.status == 429)
        #expect(refusal.header("Retry-After") == "1")
        #expect(cuts.withLock { $0.last } == .rateLimited)
        let other = try Connection(endpoint.address, from: "127.0.0.9")
        try other.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try other.response().status == 200)
    }

    @Test func `limits out of range are clamped`() throws {
        let endpoint = try startEndpoint {
            $0.limits.connections = -1
            $0.limits.connectionsPerAddress = 0
            $0.limits.headerTimeout = .seconds(Int64.max)
            $0.limits.idleTimeout = .seconds(-5)
            $0.limits.responseTimeout = .seconds(Int64.max)
            $0.limits.drainTimeout = .seconds(Int64.max)
        }
        #expect(try fetch("/hello", from: endpoint.address).status == 200)
        endpoint.stop()
    }
}
