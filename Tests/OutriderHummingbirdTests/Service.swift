// SPDX-License-Identifier: Apache-2.0
// A real Hummingbird service on a free port, shared by these tests.

#if Hummingbird
    import Hummingbird
    import Logging
    import NIOCore
    import OutriderEndpoint
    import OutriderHTTP
    import OutriderHummingbird
    import OutriderMetrics
    import OutriderTesting
    import TestSupport

    typealias TestRouter = Router<BasicRequestContext>

    /// An error without an HTTP status, which handlers throw.
    struct DiskOnFire: Error {}

    /// Opens a gate when the connection has closed.
    final class GoneNotice: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = Any

        private let gate: Gate

        init(_ gate: Gate) { self.gate = gate }

        func handlerAdded(context: ChannelHandlerContext) {
            context.channel.closeFuture.whenComplete { [gate] _ in gate.open() }
        }
    }

    /// A service under test.
    struct Service: RecordedServer {
        let registry: Registry
        let clock = ManualClock()
        let log = RecordedMessages()
        let recorder: HTTPRequestRecorder
        /// Opened when a connection has closed.
        let gone = Gate()

        init(_ change: (inout HTTPRequestRecorder.Configuration) -> Void = { _ in }) {
            var configuration = HTTPRequestRecorder.Configuration()
            change(&configuration)
            registry = Registry(log: log.log, clock: clock)
            recorder = HTTPRequestRecorder(registry: registry, configuration: configuration)
        }

        /// A recorded router with these routes.
        func router(
            options: RouterOptions = [], _ routes: (TestRouter) -> Void
        ) -> TestRouter {
            let router = Router(options: options)
            router.add(middleware: OutriderMiddleware(recorder))
            routes(router)
            return router
        }

        /// Serves while `body` runs, which may stop the service itself.
        func serve(
            _ router: TestRouter,
            _ body: (ListenAddress, Task<Void, any Error>) async throws -> Void
        ) async throws {
            let (ports, port) = AsyncStream.makeStream(of: UInt16.self)
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            let app = Application(
                router: router,
                server: .http1(
                    configuration: .init(additionalChannelHandlers: [
                        ProtocolErrorHandler(recorder), GoneNotice(gone),
                    ])),
                configuration: .init(address: .hostname("127.0.0.1", port: 0)),
                onServerRunning: { port.yield(UInt16($0.localAddress?.port ?? 0)) },
                logger: logger)
            let running = Task {
                defer { port.finish() }
                try await app.run()
            }
            defer { running.cancel() }
            for await port in ports {
                try await body(.loopback(port: port), running)
                break
            }
            running.cancel()
            _ = await running.result
        }
    }
#endif
