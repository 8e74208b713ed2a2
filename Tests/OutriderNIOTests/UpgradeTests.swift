// SPDX-License-Identifier: Apache-2.0
// Tests of connections that are upgraded from HTTP.

#if NIO
    import NIOCore
    import NIOHTTP1
    import OutriderHTTP
    import OutriderMetrics
    import OutriderNIO
    import OutriderTesting
    import TestSupport
    import Testing

    /// Upgrades to a protocol that echoes every byte.
    private final class RepeatingUpgrader: HTTPServerProtocolUpgrader, Sendable {
        let supportedProtocol = "websocket"
        let requiredUpgradeHeaders: [String] = []
        private let greeting: String

        init(greeting: String = "") { self.greeting = greeting }

        func buildUpgradeResponse(
            channel: any Channel, upgradeRequest: HTTPRequestHead,
            initialResponseHeaders: HTTPHeaders
        ) -> EventLoopFuture<HTTPHeaders> {
            channel.eventLoop.makeSucceededFuture(initialResponseHeaders)
        }

        func upgrade(
            context: ChannelHandlerContext, upgradeRequest: HTTPRequestHead
        ) -> EventLoopFuture<Void> {
            context.eventLoop.makeCompletedFuture {
                try context.pipeline.syncOperations.addHandler(Repeating(greeting: greeting))
            }
        }
    }

    /// Echoes its input, after an optional greeting.
    private final class Repeating: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let greeting: String

        init(greeting: String = "") { self.greeting = greeting }

        func handlerAdded(context: ChannelHandlerContext) {
            if greeting.isEmpty { return }
            let bytes = context.channel.allocator.buffer(string: greeting)
            context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            context.writeAndFlush(data, promise: nil)
        }
    }

    /// Responds to CONNECT with a tunnel to itself.
    private final class Tunnel: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard case .end = unwrapInboundIn(data) else { return }
            context.write(
                wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: .ok))),
                promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            do {
                let handlers = context.pipeline.syncOperations
                try handlers.addHandler(Repeating())
                handlers.removeHandler(
                    try handlers.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self),
                    promise: nil)
                handlers.removeHandler(
                    try handlers.handler(type: HTTPResponseEncoder.self), promise: nil)
                handlers.removeHandler(self, promise: nil)
            } catch {
                context.fireErrorCaught(error)
            }
        }
    }

    @Suite struct UpgradeTests {
        private static let upgrade = request(
            "/chat", fields: "Connection: upgrade\r\nUpgrade: websocket\r\n")
        private static let labels = [
            "http_route": "/chat", "network_protocol_name": "websocket",
        ]

        private static func add(
            _ recorder: HTTPRequestRecorder, to channel: any Channel,
            _ upgrader: RepeatingUpgrader, _ standsBehindUpgrader: Bool
        ) throws {
            let handlers = channel.pipeline.syncOperations
            try handlers.configureHTTPServerPipeline(
                withPipeliningAssistance: false, withServerUpgrade: ([upgrader], { _ in }),
                withErrorHandling: false)
            let recording = HTTP1ServerMetricsHandler(recorder) { $0.uri }
            if standsBehindUpgrader {
                try handlers.addHandler(recording)
            } else {
                let upgrading = try handlers.handler(type: HTTPServerUpgradeHandler.self)
                try handlers.addHandler(recording, position: .before(upgrading))
            }
        }

        @Test(arguments: [false, true])
        func `an upgrade is counted as 101, and its connection until it closes`(
            standsBehindUpgrader: Bool
        ) async throws {
            let service = Service()
            let connections = "http_server_upgraded_connections"
            try await service.serve {
                try Self.add(service.recorder, to: $0, RepeatingUpgrader(), standsBehindUpgrader)
            } _: { address in
                let connection = try Connection(address)
                try connection.send(Self.upgrade)
                #expect(try connection.response().status == 101)
                try connection.send("ping")
                #expect(try connection.text(upTo: "ping") == "ping")
                #expect(eventually { service.registry.value(connections, Self.labels) == 1 })
                #expect(service.active == 0)
                service.clock.advance(by: .seconds(3_600))
            }
            #expect(try await service.recordsOnce(101, "/chat"))
            let hasEnded = try await holdsEventually {
                service.registry.value(connections, Self.labels) == 0
            }
            #expect(hasEnded)
            try service.registry.expect(
                "http_server_upgraded_connection_duration_seconds_sum", Self.labels, 3_600)
        }

        @Test(arguments: [false, true])
        func `the upgraded protocol may send first`(
            standsBehindUpgrader: Bool
        ) async throws {
            let service = Service()
            try await service.serve {
                try Self.add(
                    service.recorder, to: $0, RepeatingUpgrader(greeting: "welcome"),
                    standsBehindUpgrader)
            } _: { address in
                let connection = try Connection(address)
                try connection.send(Self.upgrade)
                #expect(try connection.text(upTo: "welcome").contains(" 101 "))
            }
            #expect(try await service.recordsOnce(101, "/chat"))
        }

        @Test func `a CONNECT tunnel ends the recording of HTTP`() async throws {
            let service = Service()
            try await service.serve { channel in
                let handlers = channel.pipeline.syncOperations
                try handlers.configureHTTPServerPipeline(
                    withPipeliningAssistance: false, withErrorHandling: false,
                    withOutboundHeaderValidation: false)
                try handlers.addHandler(HTTP1ServerMetricsHandler(service.recorder) { _ in nil })
                try handlers.addHandler(Tunnel())
            } _: { address in
                let connection = try Connection(address)
                try connection.send("CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\n")
                #expect(try connection.response(isHead: true).status == 200)
                try connection.send("ping")
                _ = try connection.text(upTo: "ping")
            }
            #expect(try await service.recordsOnce(200, "_UNMATCHED", method: "CONNECT"))
        }
    }
#endif
