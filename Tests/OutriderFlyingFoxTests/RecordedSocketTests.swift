// SPDX-License-Identifier: Apache-2.0
// Tests of WebSockets, which are recorded as a handshake request and an upgraded connection.

#if FlyingFox

    import FlyingFox
    import OutriderEndpoint
    import OutriderFlyingFox
    import OutriderTesting
    import TestSupport
    import Testing

    /// Echoes each message.
    private struct Echo: WSMessageHandler {
        func makeMessages(for client: AsyncStream<WSMessage>) async throws -> AsyncStream<WSMessage>
        {
            client
        }
    }

    /// Throws instead of returning frames.
    private struct Refusing: WSHandler {
        func makeFrames(
            for client: AsyncThrowingStream<WSFrame, any Error>
        ) async throws -> AsyncStream<WSFrame> {
            throw OutOfStock()
        }
    }

    // Unchecked: each test awaits one use of the connection before the next.
    private final class Client: @unchecked Sendable {
        private var connection: Connection?

        init(_ address: ListenAddress) throws {
            let connection = try Connection(address)
            try connection.send(
                """
                GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n
                """)
            self.connection = connection
        }

        func with<Result: Sendable>(_ body: (Connection) throws -> Result) throws -> Result? {
            try connection.map { try body($0) }
        }

        func leave() { connection = nil }
    }

    @Suite struct RecordedSocketTests {
        private static let labels = [
            "http_route": "/chat", "network_protocol_name": "websocket",
        ]

        @Test func `a WebSocket is a handshake, then a connection until its client disconnects`()
            async throws
        {
            let recording = Recording()
            var routes = RoutedHTTPHandler()
            routes.appendRoute("GET /chat", to: .webSocket(Echo()))
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                let client = try await onOwnThread { try Client(address) }
                let status = try await onOwnThread { try client.with { try $0.response().status } }
                #expect(status == 101)
                #expect(recording.requests("GET", "/chat", 101) == 1)
                #expect(recording.active("GET") == 0)
                let open = "http_server_upgraded_connections"
                try recording.registry.expect(open, Self.labels, 1)
                // A masked text frame, "hi", with a mask of zeros.
                let echo = try await onOwnThread {
                    try client.with { connection in
                        try connection.send(bytes: [0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])
                        return try connection.bytes(4)
                    }
                }
                #expect(echo == [0x81, 0x02, 0x68, 0x69])
                recording.clock.advance(by: .seconds(3_600))
                client.leave()
                let isOver = try await recording.eventually {
                    $0.registry.value(open, Self.labels) == 0
                }
                #expect(isOver)
            }
            let life = recording.registry.value(
                "http_server_upgraded_connection_duration_seconds_sum", Self.labels)
            #expect(life?.rounded() == 3_600)
            #expect(try recording.total() == 1)
        }

        @Test func `a WebSocket ends with its server`() async throws {
            let recording = Recording()
            var routes = RoutedHTTPHandler()
            routes.appendRoute("GET /chat", to: .webSocket(Echo()))
            let client = try await serving(routes.recorded(by: recording.recorder)) { _, address in
                let client = try await onOwnThread { try Client(address) }
                _ = try await onOwnThread { try client.with { try $0.response().status } }
                return client
            }
            let isOver = try await recording.eventually {
                $0.registry.value("http_server_upgraded_connections", Self.labels) == 0
            }
            #expect(isOver)
            client.leave()
        }

        @Test func `a handshake that fails is an error`() async throws {
            let recording = Recording()
            var routes = RoutedHTTPHandler()
            routes.appendRoute("GET /chat", to: WebSocketHTTPHandler(handler: Refusing()))
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                let client = try await onOwnThread { try Client(address) }
                let isClosed = try await onOwnThread { try client.with { $0.isClosed() } }
                #expect(isClosed == true)
            }
            #expect(recording.requests("GET", "/chat", 500, error: "OutOfStock") == 1)
        }
    }

#endif
