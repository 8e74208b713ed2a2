// SPDX-License-Identifier: Apache-2.0
// Tests of upgraded connections: the handshake is a request, and the connection's hours are
// recorded elsewhere.

import OutriderHTTP
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct UpgradeTests {
    private static let gauge = "http_server_upgraded_connections"
    private static let lives = "http_server_upgraded_connection_duration_seconds"
    private let recording = Recording {
        $0.excludedRoutes = ["/healthz"]
        $0.limit = SeriesLimit(count: 10)
    }

    private static func labels(
        _ name: String = "websocket", route: String = "/chat"
    ) -> [String: String] {
        ["http_route": route, "network_protocol_name": name]
    }

    @Test func `the upgrade families are absent before the first upgrade`() throws {
        recording.begin().finish()
        let exposition = try recording.registry.exposition()
        #expect(exposition.family(Self.gauge) == nil)
        #expect(exposition.family(Self.lives) == nil)
    }

    @Test func `a handshake is counted as 101, without the lifetime of its connection`() throws {
        let token = recording.begin(route: "/chat")
        recording.clock.advance(by: .milliseconds(20))
        let connection = token.upgrade(to: "websocket")
        recording.clock.advance(by: .seconds(3_600))
        try recording.expectOne("101", route: "/chat")
        let labels = Recording.labels("101", route: "/chat")
        try recording.registry.expect("\(Recording.durations)_sum", labels, 0.02)
        try recording.registry.expect(Self.gauge, Self.labels(), 1)
        #expect(try recording.total("\(Self.lives)_count") == 0)
        connection.end()
        try recording.registry.expect(Self.gauge, Self.labels(), 0)
        try recording.registry.expect("\(Self.lives)_count", Self.labels(), 1)
        try recording.registry.expect("\(Self.lives)_sum", Self.labels(), 3_600)
    }

    @Test func `a connection that ends twice is counted once`() throws {
        do {
            let connection = recording.begin(route: "/chat").upgrade(to: "websocket")
            connection.end()
            recording.clock.advance(by: .seconds(5))
            connection.end()
        }
        try recording.registry.expect(Self.gauge, Self.labels(), 0)
        try recording.registry.expect("\(Self.lives)_count", Self.labels(), 1)
        try recording.registry.expect("\(Self.lives)_sum", Self.labels(), 0)
    }

    @Test func `a released connection has ended`() throws {
        do {
            let connection = recording.begin(route: "/chat").upgrade(to: "websocket")
            recording.clock.advance(by: .seconds(7))
            _ = connection
        }
        try recording.registry.expect(Self.gauge, Self.labels(), 0)
        try recording.registry.expect("\(Self.lives)_sum", Self.labels(), 7)
    }

    @Test func `calls on the token after the upgrade have no effect`() throws {
        do {
            let token = recording.begin(route: "/chat")
            let connection = token.upgrade(to: "websocket")
            token.finish(.failed(OutOfStock()))
            token.finish(.clientDisconnected)
            connection.end()
        }
        try recording.expectOne("101", route: "/chat")
        #expect(try recording.total(Recording.aborted) == 0)
    }

    @Test func `an upgrade after the end has no effect`() throws {
        let token = recording.begin(route: "/chat")
        token.finish()
        let late = token.upgrade(to: "websocket")
        try recording.expectOne("200", route: "/chat")
        #expect(try recording.total(Self.gauge) == 0)
        late.end()
        #expect(try recording.total(Self.gauge) == 0)
        #expect(try recording.total("\(Self.lives)_count") == 0)
    }

    @Test func `a second upgrade does not add a connection`() throws {
        let token = recording.begin(route: "/chat")
        let connections = [token.upgrade(to: "websocket"), token.upgrade(to: "websocket")]
        try recording.registry.expect(Self.gauge, Self.labels(), 1)
        for connection in connections { connection.end() }
        try recording.registry.expect(Self.gauge, Self.labels(), 0)
        try recording.registry.expect("\(Self.lives)_count", Self.labels(), 1)
    }

    @Test(arguments: ["websocket", "WebSocket", "WEBSOCKET"])
    func `the case of a protocol name does not matter`(name: String) throws {
        let connection = recording.begin(route: "/chat").upgrade(to: name)
        try recording.registry.expect(Self.gauge, Self.labels("websocket"), 1)
        connection.end()
    }

    @Test func `unknown protocols share one series`() throws {
        let names = (0..<50).map { "p\($0)" } + ["", "websocket\n", "_OTHER", "h3"]
        let connections = names.map { recording.begin(route: "/chat").upgrade(to: $0) }
        try recording.registry.expect(Self.gauge, Self.labels("_OTHER"), Double(names.count))
        #expect(try recording.registry.samples(Self.gauge).count == 1)
        for connection in connections { connection.end() }
        #expect(try recording.total(Self.gauge) == 0)
    }

    @Test func `an upgrade on an excluded route is not recorded`() throws {
        let connection = recording.begin(route: "/healthz").upgrade(to: "websocket")
        #expect(try recording.total(Self.gauge) == 0)
        connection.end()
        #expect(try recording.total("\(Self.lives)_count") == 0)
        #expect(try recording.counted() == 0)
        #expect(try recording.inFlight() == 0)
    }

    @Test func `an upgrade beyond the route limit is counted under the overflow`() throws {
        let connections = (0..<20).map {
            recording.begin(route: "/chat/\($0)").upgrade(to: "h2c")
        }
        try recording.registry.expect(Self.gauge, Self.labels("_OVERFLOW", route: "_OVERFLOW"), 10)
        #expect(try recording.total(Self.gauge) == 20)
        for connection in connections { connection.end() }
        #expect(try recording.total(Self.gauge) == 0)
        #expect(try recording.total("\(Self.lives)_count") == 20)
    }

    @Test func `a connection may outlive its recorder`() throws {
        let registry = recording.registry
        func upgraded() -> UpgradedConnection {
            let token = HTTPRequestRecorder(registry: registry).begin(method: "GET")
            token.setRoute(template: "/chat")
            return token.upgrade(to: "websocket")
        }
        let connection = upgraded()
        try registry.expect(Self.gauge, Self.labels(), 1)
        connection.end()
        try registry.expect(Self.gauge, Self.labels(), 0)
    }
}
