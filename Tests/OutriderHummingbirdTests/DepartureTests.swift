// SPDX-License-Identifier: Apache-2.0
// Tests of clients that disconnect, in every way a connection can end, and of errors that only look
// like a disconnect.

#if Hummingbird
    import Glibc
    import HTTPTypes
    import Hummingbird
    import NIOCore
    import OutriderHummingbird
    import OutriderTesting
    import TestSupport
    import Testing

    @Suite struct DepartureTests {
        private static let post =
            "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nhello"

        private static func stream(
            _ write: @escaping @Sendable (inout any ResponseBodyWriter) async throws -> Void
        ) -> Response {
            Response(status: .ok, body: ResponseBody(write))
        }

        @Test func `a client that resets the connection during its request body is counted as 499`()
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
                    connection.hangUpAbruptly()
                    try connection.send(Self.post)
                    #expect(eventually { service.active == 1 })
                }
                #expect(
                    try await service.recordsOnce(
                        499, "/upload", method: "POST", error: "client_disconnect"))
            }
        }

        @Test(arguments: [false, true])
        func `a client that disconnects during an echo aborts it`(
            isAbrupt: Bool
        ) async throws {
            let service = Service()
            let router = service.router {
                $0.post("/upload") { request, _ in
                    Self.stream { writer in
                        for try await part in request.body { try await writer.write(part) }
                        try await writer.finish(nil)
                    }
                }
            }
            try await service.serve(router) { address, _ in
                try await onOwnThread {
                    let connection = try Connection(address)
                    if isAbrupt { connection.hangUpAbruptly() }
                    try connection.send(Self.post)
                    _ = try connection.text(upTo: "hello")
                }
                #expect(
                    try await service.recordsOnce(
                        200, "/upload", method: "POST", error: "client_disconnect"))
                try service.registry.expect(
                    "http_server_aborted_requests_total", ["http_route": "/upload"], 1)
            }
        }

        @Test(arguments: [false, true])
        func `a client that disconnects and so cancels the handler is counted as 499`(
            isAbrupt: Bool
        ) async throws {
            let service = Service()
            let router = service.router {
                $0.get("/wait") { request, _ in
                    try await request.body.consumeWithCancellationOnInboundClose { _ in
                        await Gate().wait()
                        try Task.checkCancellation()
                        return "late"
                    }
                }
            }
            try await service.serve(router) { address, _ in
                try await onOwnThread {
                    let connection = try Connection(address)
                    if isAbrupt { connection.hangUpAbruptly() }
                    try connection.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
                    #expect(eventually { service.active == 1 })
                }
                #expect(try await service.recordsOnce(499, "/wait", error: "client_disconnect"))
            }
        }

        @Test func `a status that the handler chose is kept, even in a cancelled task`()
            async throws
        {
            let service = Service()
            let router = service.router {
                $0.get("/wait") { _, _ -> String in
                    await Gate().wait()
                    throw HTTPError(.notFound)
                }
            }
            try await service.serve(router) { address, server in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
                    #expect(eventually { service.active == 1 })
                    server.cancel()
                    connection.drain()
                }
                #expect(try await service.recordsOnce(404, "/wait"))
            }
        }

        /// The errors with which a connection to another service can end.
        private static let ends: [any Error & Sendable] = [
            IOError(errnoCode: ECONNRESET, reason: "read"), ChannelError.eof,
            ChannelError.ioOnClosedChannel, NIOAsyncWriterError.alreadyFinished(),
        ]

        @Test(arguments: [(0, "IOError"), (1, "ChannelError"), (3, "NIOAsyncWriterError")])
        func `a lost connection to another service is a failure of this service`(
            number: Int, type: String
        ) async throws {
            let service = Service()
            let router = service.router {
                $0.get("/proxy") { _, _ -> String in throw Self.ends[number] }
            }
            try await service.serve(router) { address, _ in
                let answer = try await onOwnThread { try fetch("/proxy", from: address) }
                #expect(answer.status == 500)
                #expect(try await service.recordsOnce(500, "/proxy", error: type))
            }
        }

        @Test func `a body that fails before its reader disconnects has the body's error`()
            async throws
        {
            let service = Service()
            let router = service.router {
                $0.get("/stream") { _, _ in
                    Self.stream { writer in
                        try await writer.write(ByteBuffer(string: "first"))
                        throw Self.ends[0]
                    }
                }
            }
            try await service.serve(router) { address, _ in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
                    connection.drain()
                }
                #expect(try await service.recordsOnce(200, "/stream", error: "IOError"))
            }
        }

        @Test func `a write that other middleware fails is not a client disconnect`() async throws {
            struct BurningWriter: ResponseBodyWriter {
                mutating func write(_ buffer: ByteBuffer) async throws { throw DiskOnFire() }

                consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
            }
            struct Burning: RouterMiddleware {
                func handle(
                    _ request: Request, context: BasicRequestContext,
                    next: (Request, BasicRequestContext) async throws -> Response
                ) async throws -> Response {
                    var response = try await next(request, context)
                    let body = response.body
                    response.body = ResponseBody { _ in try await body.write(BurningWriter()) }
                    return response
                }
            }
            let service = Service()
            let router = Router()
            router.add(middleware: Burning())
            router.add(middleware: OutriderMiddleware(service.recorder))
            router.get("/stream") { _, _ in
                Self.stream { try await $0.write(ByteBuffer(string: "first")) }
            }
            try await service.serve(router) { address, _ in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
                    connection.drain()
                }
                #expect(try await service.recordsOnce(200, "/stream", error: "DiskOnFire"))
            }
        }
    }
#endif
