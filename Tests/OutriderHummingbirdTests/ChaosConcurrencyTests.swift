// SPDX-License-Identifier: Apache-2.0
// Tests with a few hundred connections of misbehaving clients: every request is counted exactly
// once, and none stays in flight.

#if Hummingbird
    import HTTPTypes
    import Hummingbird
    import OutriderEndpoint
    import OutriderHTTP
    import OutriderHummingbird
    import Synchronization
    import TestSupport
    import Testing

    @Suite struct HummingbirdChaosConcurrencyTests {
        private final class Count: Sendable {
            let value = Atomic<Int>(0)
        }

        /// Counts the requests that reach the router, before any other middleware.
        private struct Arrivals: RouterMiddleware {
            let count: Count

            func handle(
                _ request: Request, context: BasicRequestContext,
                next: (Request, BasicRequestContext) async throws -> Response
            ) async throws -> Response {
                count.value.add(1, ordering: .relaxed)
                return try await next(request, context)
            }
        }

        private static let requests =
            ["/ok", "/nothing", "/stream", "/large", "/refused", "/disk", "/slow", "/gone"].map {
                "GET \($0) HTTP/1.1\r\nHost: a\r\n\r\n"
            } + [
                "HEAD /ok HTTP/1.1\r\nHost: a\r\n\r\n",
                "PROPFIND /ok HTTP/1.1\r\nHost: a\r\n\r\n",
                "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
                "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + "5\r\nhello\r\n0\r\n\r\n",
            ]

        private static func addRoutes(_ router: TestRouter, endless: Count) {
            router.get("/ok") { _, _ in "fine" }
            router.head("/ok") { _, _ in HTTPResponse.Status.ok }
            router.get("/nothing") { _, _ in HTTPResponse.Status.noContent }
            router.get("/refused") { _, _ -> String in throw HTTPError(.conflict, message: "no") }
            router.get("/disk") { _, _ -> String in throw DiskOnFire() }
            router.get("/large") { _, _ in ByteBuffer(repeating: 65, count: 2 << 20) }
            router.get("/stream") { _, _ in
                Response(
                    status: .ok,
                    body: ResponseBody { writer in
                        for _ in 0..<64 {
                            try await writer.write(ByteBuffer(repeating: 65, count: 16 << 10))
                        }
                        try await writer.finish(nil)
                    })
            }
            router.get("/slow") { _, _ in
                for _ in 0..<100 { await Task.yield() }
                return "at last"
            }
            router.get("/gone") { request, _ in
                try await request.body.consumeWithCancellationOnInboundClose { _ in
                    for _ in 0..<1_000 {
                        await Task.yield()
                        try Task.checkCancellation()
                    }
                    return "still here"
                }
            }
            router.get("/endless") { _, _ in
                endless.value.add(1, ordering: .relaxed)
                await Gate().wait()
                try Task.checkCancellation()
                return "never"
            }
            router.post("/echo") { request, _ in
                Response(status: .ok, body: ResponseBody(asyncSequence: request.body))
            }
        }

        @Test func `misbehaving clients leave no request in flight and none uncounted`()
            async throws
        {
            let service = Service { $0.recordsBodySizes = true }
            let arrivals = Count()
            let endless = Count()
            let router = Router()
            router.add(middleware: Arrivals(count: arrivals))
            router.add(middleware: OutriderMiddleware(service.recorder))
            Self.addRoutes(router, endless: endless)
            try await service.serve(router) { address, server in
                // The tasks of the last requests are cancelled. They start after the server has
                // accepted all others: SwiftNIO traps if it is cancelled while it accepts.
                try await onOwnThread {
                    #expect(HostileClient.crowd(address, Self.requests, connections: 100))
                    #expect(eventually { service.active == 0 })
                    let last = try (0..<8).map { _ in try Connection(address) }
                    for client in last {
                        try client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
                    }
                    // A request of the crowd may still arrive, so the requests in flight need not be
                    // these eight.
                    #expect(eventually { endless.value.load(ordering: .relaxed) == 8 })
                    server.cancel()
                    for client in last { client.drain() }
                }
            }
            let isSettled = try await holdsEventually { service.active == 0 }
            #expect(isSettled)
            // The service has ended, and so have its connections.
            #expect(arrivals.value.load(ordering: .relaxed) > 100)
            #expect(service.count(499, "/endless", error: "client_disconnect") == 8)
            #expect(service.total == Double(arrivals.value.load(ordering: .relaxed)))
        }
    }
#endif
