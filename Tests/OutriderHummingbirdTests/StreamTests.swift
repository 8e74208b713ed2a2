// SPDX-License-Identifier: Apache-2.0
// Tests of the middleware with streamed responses and with clients that disconnect.

#if Hummingbird
    import HTTPTypes
    import Hummingbird
    import OutriderHTTP
    import OutriderHummingbird
    import OutriderMetrics
    import OutriderTesting
    import TestSupport
    import Testing

    @Suite struct StreamTests {
        private static let get = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"

        private static func stream(
            _ write: @escaping @Sendable (inout any ResponseBodyWriter) async throws -> Void
        ) -> Response {
            Response(status: .ok, body: ResponseBody(write))
        }

        @Test func `a stream is timed to its last byte`() async throws {
            let service = Service { $0.recordsBodySizes = true }
            let gate = Gate()
            let router = service.router {
                $0.get("/stream") { _, _ in
                    Self.stream { writer in
                        try await writer.write(ByteBuffer(string: "first"))
                        await gate.wait()
                        try await writer.write(contentsOf: [
                            ByteBuffer(string: "se"), ByteBuffer(string: "cond"),
                        ])
                        try await writer.finish(nil)
                    }
                }
            }
            try await service.serve(router) { address, _ in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send(Self.get)
                    _ = try connection.text(upTo: "first")
                    #expect(service.active == 1)
                    #expect(service.total == 0)
                    service.clock.advance(by: .seconds(3))
                    gate.open()
                    _ = try connection.text(upTo: "0\r\n\r\n")
                }
                #expect(try await service.recordsOnce(200, "/stream"))
                let labels = service.labels(200, "/stream")
                try service.registry.expect("http_server_request_duration_seconds_sum", labels, 3)
                try service.registry.expect("http_server_response_body_size_bytes_sum", labels, 11)
            }
        }

        @Test func `a large body is timed to its last byte`() async throws {
            let service = Service { $0.recordsBodySizes = true }
            let size = 8 << 20
            let router = service.router {
                $0.get("/stream") { _, _ in
                    Response(
                        status: .ok,
                        body: ResponseBody(byteBuffer: ByteBuffer(repeating: 65, count: size)))
                }
            }
            try await service.serve(router) { address, _ in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send(Self.get)
                    #expect(try connection.response().body.count == size)
                }
                #expect(try await service.recordsOnce(200, "/stream"))
                try service.registry.expect(
                    "http_server_response_body_size_bytes_sum", service.labels(200, "/stream"),
                    Double(size))
            }
        }

        @Test(arguments: [false, true])
        func `a client that disconnects during a stream aborts it`(
            swallowsErrors: Bool
        ) async throws {
            let service = Service()
            let router = service.router {
                $0.get("/stream") { _, _ in
                    Self.stream { writer in
                        while true {
                            do {
                                try await writer.write(ByteBuffer(repeating: 65, count: 4_096))
                            } catch {
                                if swallowsErrors { return }
                                throw error
                            }
                        }
                    }
                }
            }
            try await service.serve(router) { address, _ in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send(Self.get)
                    _ = try connection.text(upTo: "AAAA")
                }
                #expect(try await service.recordsOnce(200, "/stream", error: "client_disconnect"))
                try service.registry.expect(
                    "http_server_aborted_requests_total", ["http_route": "/stream"], 1)
            }
        }

        @Test func `a stream that its handler breaks off has the handler's error`() async throws {
            let service = Service()
            let router = service.router {
                $0.get("/stream") { _, _ in
                    Self.stream { writer in
                        try await writer.write(ByteBuffer(string: "first"))
                        throw DiskOnFire()
                    }
                }
            }
            try await service.serve(router) { address, _ in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send(Self.get)
                    connection.drain()
                }
                #expect(try await service.recordsOnce(200, "/stream", error: "DiskOnFire"))
                try service.registry.expect(
                    "http_server_aborted_requests_total", ["http_route": "/stream"], 1)
            }
        }

        @Test func `a client that disconnects before the head of a stream is counted as 499`()
            async throws
        {
            let service = Service()
            let entered = Gate()
            let router = service.router {
                $0.get("/stream") { _, _ in
                    entered.open()
                    await service.gone.wait()
                    return Self.stream { try await $0.finish(nil) }
                }
            }
            try await service.serve(router) { address, _ in
                try await onOwnThread {
                    let connection = try Connection(address)
                    connection.hangUpAbruptly()
                    try connection.send(Self.get)
                    #expect(eventually { service.active == 1 })
                }
                await entered.wait()
                #expect(try await service.recordsOnce(499, "/stream", error: "client_disconnect"))
            }
        }

        @Test func `a client that disconnects during its request body is counted as 499`()
            async throws
        {
            let service = Service()
            let router = service.router {
                $0.post("/upload") { request, _ in
                    _ = try await request.body.collect(upTo: 1_000)
                    return "thanks"
                }
            }
            try await service.serve(router) { address, _ in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send(
                        "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nhello")
                    #expect(eventually { service.active == 1 })
                }
                #expect(
                    try await service.recordsOnce(
                        499, "/upload", method: "POST", error: "client_disconnect"))
            }
        }

        @Test func `a malformed request body is counted as 400`() async throws {
            let service = Service()
            let router = service.router {
                $0.post("/upload") { request, _ in
                    _ = try await request.body.collect(upTo: 1_000)
                    return "thanks"
                }
            }
            try await service.serve(router) { address, _ in
                let answer = try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send(
                        """
                        POST /upload HTTP/1.1\r
                        Host: a\r
                        Transfer-Encoding: chunked\r
                        \r
                        not a chunk\r\n
                        """)
                    return try connection.response()
                }
                #expect(answer.status == 400)
                #expect(try await service.recordsOnce(400, "/upload", method: "POST"))
            }
        }

        @Test func `a request whose task is cancelled is counted as 499`() async throws {
            let service = Service()
            let router = service.router {
                $0.get("/stream") { _, _ in
                    await Gate().wait()
                    try Task.checkCancellation()
                    return "late"
                }
            }
            try await service.serve(router) { address, server in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send(Self.get)
                    #expect(eventually { service.active == 1 })
                    server.cancel()
                    connection.drain()
                }
                #expect(try await service.recordsOnce(499, "/stream", error: "client_disconnect"))
            }
        }

        @Test func `a body that other middleware drops ends its request`() async throws {
            struct Dropping: RouterMiddleware {
                func handle(
                    _ request: Request, context: BasicRequestContext,
                    next: (Request, BasicRequestContext) async throws -> Response
                ) async throws -> Response {
                    var response = try await next(request, context)
                    response.body = ResponseBody(byteBuffer: ByteBuffer(string: "short"))
                    return response
                }
            }
            let service = Service()
            let router = Router()
            router.add(middleware: Dropping())
            router.add(middleware: OutriderMiddleware(service.recorder))
            router.get("/stream") { _, _ in Self.stream { try await $0.finish(nil) } }
            try await service.serve(router) { address, _ in
                let answer = try await onOwnThread { try fetch("/stream", from: address) }
                #expect(answer.text == "short")
                #expect(try await service.recordsOnce(499, "/stream", error: "client_disconnect"))
            }
        }
    }
#endif
