// SPDX-License-Identifier: Apache-2.0
// Real SwiftNIO servers shared by these tests, one for each kind of pipeline.

#if NIO
    import NIOCore
    import NIOHTTP1
    import NIOPosix
    import OutriderEndpoint
    import OutriderHTTP
    import OutriderMetrics
    import OutriderNIO
    import OutriderTesting
    import Synchronization
    import TestSupport

    #if HTTPTypes
        import HTTPTypes
        import NIOHTTPTypesHTTP1
    #endif

    /// A kind of pipeline.
    enum Pipeline: CaseIterable {
        /// HTTP/1 parts, behind the handler that admits one request at a time.
        case http1
        /// HTTP/1 parts, before that handler.
        case beforePipelining
        /// HTTP/1 parts, without that handler.
        case withoutPipelining
        #if HTTPTypes
            /// The types of swift-http-types.
            case httpTypes
        #endif

        /// One pipeline for each type of parts.
        static var eachKindOfParts: [Pipeline] {
            #if HTTPTypes
                [.http1, .httpTypes]
            #else
                [.http1]
            #endif
        }
    }

    /// Counts request heads before the handler under test receives them.
    private final class Arrivals: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart

        private let count: Service.Count

        init(_ count: Service.Count) { self.count = count }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            if case .head = unwrapInboundIn(data) { count.value.add(1, ordering: .relaxed) }
            context.fireChannelRead(data)
        }
    }

    /// A service under test.
    struct Service: RecordedServer {
        final class Count: Sendable {
            let value = Atomic<Int>(0)
        }

        let registry: Registry
        let clock = ManualClock()
        let log = RecordedMessages()
        let recorder: HTTPRequestRecorder
        let heads = Count()
        /// Releases the requests that wait.
        let release = MultiThreadedEventLoopGroup.singleton.any().makePromise(of: Void.self)

        init(_ change: (inout HTTPRequestRecorder.Configuration) -> Void = { _ in }) {
            var configuration = HTTPRequestRecorder.Configuration()
            change(&configuration)
            registry = Registry(log: log.log, clock: clock)
            recorder = HTTPRequestRecorder(registry: registry, configuration: configuration)
        }

        /// Serves while `body` runs on a thread that may block; waiting requests are released
        /// afterwards.
        func serve(
            _ pipeline: Pipeline, _ body: @escaping @Sendable (ListenAddress) throws -> Void
        ) async throws {
            try await serve({ try add(pipeline, to: $0) }, body)
        }

        /// The same, with a pipeline that the test builds.
        func serve(
            _ build: @escaping @Sendable (any Channel) throws -> Void,
            _ body: @escaping @Sendable (ListenAddress) throws -> Void
        ) async throws {
            defer { release.succeed() }
            let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try build(channel) }
                }
                .bind(host: "127.0.0.1", port: 0).get()
            let port = UInt16(server.localAddress?.port ?? 0)
            let result = await Result {
                try await onOwnThread {
                    try body(.loopback(port: port))
                    // The clients have disconnected. Their requests must end without the release.
                    _ = eventually { active == 0 }
                }
            }
            try await server.close()
            try result.get()
        }

        /// The route of a request target: its first component.
        @Sendable static func template(of target: String) -> String? {
            target == "/404" ? nil : target.hasPrefix("/orders/") ? "/orders/{id}" : target
        }

        private func add(_ pipeline: Pipeline, to channel: any Channel) throws {
            let handlers = channel.pipeline.syncOperations
            try handlers.configureHTTPServerPipeline(
                withPipeliningAssistance: false, withErrorHandling: false)
            try handlers.addHandler(Arrivals(heads))
            let recording = HTTP1ServerMetricsHandler(recorder) { Self.template(of: $0.uri) }
            if pipeline == .beforePipelining { try handlers.addHandler(recording) }
            if pipeline != .withoutPipelining {
                try handlers.addHandler(HTTPServerPipelineHandler())
            }
            try handlers.addHandler(HTTPServerProtocolErrorHandler())
            switch pipeline {
            case .http1, .withoutPipelining: try handlers.addHandler(recording)
            case .beforePipelining: break
            #if HTTPTypes
                case .httpTypes:
                    try handlers.addHandler(HTTP1ToHTTPServerCodec(secure: false))
                    try handlers.addHandler(
                        HTTPServerMetricsHandler(recorder) { Self.template(of: $0.path ?? "") })
                    try handlers.addHandler(HTTPToHTTP1ServerCodec())
            #endif
            }
            try handlers.addHandler(Application(release: release.futureResult))
        }
    }

    extension Result where Failure == any Error {
        fileprivate init(_ body: () async throws -> Success) async {
            do { self = .success(try await body()) } catch { self = .failure(error) }
        }
    }

    /// A request without a body.
    func request(_ target: String, method: String = "GET", fields: String = "") -> String {
        "\(method) \(target) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"
    }
#endif
