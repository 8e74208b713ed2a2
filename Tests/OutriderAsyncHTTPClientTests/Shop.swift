// SPDX-License-Identifier: Apache-2.0
// A real HTTP/1.1 server on a free port, and a client of it, shared by these tests.

#if AsyncHTTPClient
    import AsyncHTTPClient
    import Glibc
    import NIOCore
    import NIOHTTP1
    import NIOPosix
    import OutriderAsyncHTTPClient
    import OutriderMetrics
    import OutriderTesting
    import TestSupport

    /// Responds to each path in a different way.
    private final class ShopHandler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let hold: EventLoopFuture<Void>
        private let arrived: Gate
        private var path = ""

        init(hold: EventLoopFuture<Void>, arrived: Gate) {
            self.hold = hold
            self.arrived = arrived
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): path = head.uri
            case .body: break
            case .end: answer(context)
            }
        }

        private func answer(_ context: ChannelHandlerContext) {
            switch path {
            case "/missing": respond(context, .notFound, "none")
            case "/moved": respond(context, .found, "", ["location": "/stock"])
            case "/silent": break
            case "/closed": context.close(promise: nil)
            case "/reset": reset(context)
            case "/held":
                arrived.open()
                let channel = context.channel
                hold.hop(to: channel.eventLoop).assumeIsolated().whenComplete { _ in
                    self.respond(context, .ok, "held")
                }
            case "/half":
                respondByHalf(context)
                context.close(promise: nil)
            case "/half-reset":
                respondByHalf(context)
                hold.hop(to: context.eventLoop).assumeIsolated().whenComplete { _ in
                    self.reset(context)
                }
            default: respond(context, .ok, "42")
            }
        }

        private func respondByHalf(_ context: ChannelHandlerContext) {
            write(context, .ok, ["content-length": "100"])
            context.writeAndFlush(
                wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: "half")))), promise: nil)
        }

        /// Closes the connection so that the client gets a reset instead of a FIN.
        private func reset(_ context: ChannelHandlerContext) {
            let options = context.channel as? any SocketOptionProvider
            options?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
                .assumeIsolated().whenComplete { _ in context.close(promise: nil) }
        }

        private func respond(
            _ context: ChannelHandlerContext, _ status: HTTPResponseStatus, _ text: String,
            _ headers: HTTPHeaders = [:]
        ) {
            var headers = headers
            headers.add(name: "content-length", value: String(text.utf8.count))
            write(context, status, headers)
            context.write(
                wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }

        private func write(
            _ context: ChannelHandlerContext, _ status: HTTPResponseStatus, _ headers: HTTPHeaders
        ) {
            let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
        }
    }

    /// A server, a client of it, and the client's recorded metrics.
    struct Shop: Sendable {
        let registry = Registry(log: DiagnosticLog { _, _ in })
        let recorder: HTTPClientRecorder
        let client: HTTPClient
        let port: Int
        /// Opened when a request for `/held` arrives.
        let arrived: Gate
        /// Lets the server respond to `/held`.
        let release: EventLoopPromise<Void>

        /// Serves while `body` runs.
        ///
        /// - Parameter watchers: How many times the client's configuration records its connections.
        static func open(
            watchers: Int = 1, _ body: (Shop) async throws -> Void
        ) async throws {
            let group = MultiThreadedEventLoopGroup.singleton
            let release = group.any().makePromise(of: Void.self)
            let hold = release.futureResult
            let arrived = Gate()
            let server = try await ServerBootstrap(group: group)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        try pipeline.configureHTTPServerPipeline()
                        try pipeline.addHandler(ShopHandler(hold: hold, arrived: arrived))
                    }
                }
                .bind(host: "127.0.0.1", port: 0).get()
            let shop = Shop(
                port: server.localAddress?.port ?? 0, arrived: arrived, release: release,
                watchers: watchers)
            do {
                try await body(shop)
            } catch {
                try await shop.close(server)
                throw error
            }
            try await shop.close(server)
        }

        private init(
            port: Int, arrived: Gate, release: EventLoopPromise<Void>, watchers: Int
        ) {
            recorder = HTTPClientRecorder(registry: registry)
            var configuration = HTTPClient.Configuration()
            for _ in 0..<watchers { configuration.recordConnections(registry: registry) }
            client = HTTPClient(configuration: configuration)
            self.port = port
            self.arrived = arrived
            self.release = release
        }

        private func close(_ server: any Channel) async throws {
            release.succeed()
            try? await client.shutdown()
            try await server.close()
        }

        /// A request for a path.
        func request(_ path: String) -> HTTPClientRequest {
            HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
        }

        /// Requests a path and returns the response body.
        @discardableResult
        func get(_ path: String, timeout: TimeAmount = .seconds(120)) async throws -> String {
            try await client.execute(request(path), timeout: timeout, recorder: recorder) {
                String(buffer: try await $0.body.collect(upTo: 1_024))
            }
        }

        /// The number of recorded requests with these labels.
        func count(_ status: Int?, error: String = "", port: Int? = nil) -> Double? {
            registry.value(
                "http_client_request_duration_seconds_count",
                [
                    "http_request_method": "GET", "server_address": "127.0.0.1",
                    "server_port": String(port ?? self.port),
                    "http_response_status_code": status.map(String.init) ?? "",
                    "error_type": error,
                ])
        }

        /// The number of all recorded requests.
        var total: Double {
            let families = (try? registry.exposition().families) ?? []
            return families.flatMap(\.samples)
                .filter { $0.name == "http_client_request_duration_seconds_count" }
                .reduce(0) { $0 + $1.value }
        }

        /// The number of open connections in a state.
        func connections(_ state: String) -> Double? {
            registry.value(
                "http_client_open_connections",
                ["http_connection_state": state, "network_peer_address": "127.0.0.1"])
        }
    }
#endif
