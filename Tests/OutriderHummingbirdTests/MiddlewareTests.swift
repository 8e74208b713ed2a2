// SPDX-License-Identifier: Apache-2.0
// Tests of the middleware with requests that are answered immediately.

#if Hummingbird
    import HTTPTypes
    import Hummingbird
    import OutriderHTTP
    import OutriderHummingbird
    import OutriderMetrics
    import OutriderTesting
    import TestSupport
    import Testing

    @Suite struct MiddlewareTests {
        @Test func `a request is counted under the template of its route`() async throws {
            let service = Service()
            let router = service.router { $0.get("/orders/{id}") { _, _ in "fine" } }
            try await service.serve(router) { address, _ in
                let answer = try await onOwnThread { try fetch("/orders/7", from: address) }
                #expect(answer.status == 200)
                #expect(answer.text == "fine")
                #expect(try await service.recordsOnce(200, "/orders/{id}"))
            }
        }

        @Test func `a request without a matching route is recorded without its path`() async throws
        {
            let service = Service()
            let router = service.router { $0.get("/orders") { _, _ in "fine" } }
            try await service.serve(router) { address, _ in
                let answer = try await onOwnThread { try fetch("/wp-login.php", from: address) }
                #expect(answer.status == 404)
                #expect(try await service.recordsOnce(404, "_UNMATCHED"))
            }
        }

        @Test func `a thrown HTTPError is counted under its status`() async throws {
            let service = Service()
            let router = service.router {
                $0.get("/upstream") { _, _ -> String in throw HTTPError(.badGateway) }
            }
            try await service.serve(router) { address, _ in
                let answer = try await onOwnThread { try fetch("/upstream", from: address) }
                #expect(answer.status == 502)
                #expect(try await service.recordsOnce(502, "/upstream", error: "HTTPError"))
            }
        }

        @Test func `a thrown error is counted as 500 with its type`() async throws {
            let service = Service()
            let router = service.router {
                $0.get("/disk") { _, _ -> String in throw DiskOnFire() }
            }
            try await service.serve(router) { address, _ in
                let answer = try await onOwnThread { try fetch("/disk", from: address) }
                #expect(answer.status == 500)
                #expect(try await service.recordsOnce(500, "/disk", error: "DiskOnFire"))
            }
        }

        @Test func `a request that other middleware refuses has its route`() async throws {
            struct Refusing: RouterMiddleware {
                func handle(
                    _ request: Request, context: BasicRequestContext,
                    next: (Request, BasicRequestContext) async throws -> Response
                ) async throws -> Response {
                    throw HTTPError(.unauthorized)
                }
            }
            let service = Service()
            let router = service.router {
                $0.add(middleware: Refusing())
                $0.get("/secret") { _, _ in "psst" }
            }
            try await service.serve(router) { address, _ in
                let answer = try await onOwnThread { try fetch("/secret", from: address) }
                #expect(answer.status == 401)
                #expect(try await service.recordsOnce(401, "/secret"))
            }
        }

        @Test(arguments: [HTTPResponse.Status.noContent, .notModified])
        func `a response without a body is recorded once`(
            status: HTTPResponse.Status
        ) async throws {
            let service = Service()
            let router = service.router {
                $0.get("/nothing") { _, _ in Response(status: status) }
            }
            try await service.serve(router) { address, _ in
                let answer = try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
                    return try connection.response(isHead: true)
                }
                #expect(answer.status == status.code)
                #expect(try await service.recordsOnce(status.code, "/nothing"))
            }
        }

        @Test func `a HEAD request that a streaming GET route handles is not a disconnect`()
            async throws
        {
            let service = Service { $0.recordsBodySizes = true }
            let router = service.router(options: .autoGenerateHeadEndpoints) {
                $0.get("/stream") { _, _ in
                    Response(
                        status: .ok,
                        body: ResponseBody { writer in
                            try await writer.write(ByteBuffer(string: "much"))
                            try await writer.finish(nil)
                        })
                }
            }
            try await service.serve(router) { address, _ in
                let answer = try await onOwnThread {
                    try fetch("/stream", from: address, method: "HEAD")
                }
                #expect(answer.status == 200)
                #expect(try await service.recordsOnce(200, "/stream", method: "HEAD"))
                try service.registry.expect(
                    "http_server_response_body_size_bytes_sum",
                    service.labels(200, "/stream", method: "HEAD"), 0)
            }
        }

        @Test func `rarely used methods share one label`() async throws {
            let service = Service()
            let router = service.router { $0.get("/orders") { _, _ in "fine" } }
            try await service.serve(router) { address, _ in
                try await onOwnThread {
                    for method in ["PROPFIND", "MKCOL", "NOTIFY"] {
                        _ = try fetch("/orders", from: address, method: method)
                    }
                }
                let isRecorded = try await holdsEventually {
                    service.count(404, "_UNMATCHED", method: "_OTHER") == 3
                }
                #expect(isRecorded)
                #expect(service.total == 3)
            }
        }

        @Test func `input that is not HTTP is counted, and not as a request`() async throws {
            let service = Service()
            let router = service.router { $0.get("/orders") { _, _ in "fine" } }
            try await service.serve(router) { address, _ in
                let answer = try await onOwnThread { try fetch("/", from: address, method: "BREW") }
                #expect(answer.status == 400)
                let errors = "http_server_protocol_errors_total"
                let isCounted = try await holdsEventually {
                    service.registry.value(errors, ["reason": "parse"]) == 1
                }
                #expect(isCounted)
                #expect(service.total == 0)
            }
        }

        @Test func `recorded sizes are those of the bodies`() async throws {
            let service = Service { $0.recordsBodySizes = true }
            let router = service.router {
                $0.post("/echo") { request, _ in
                    Response(
                        status: .ok,
                        body: ResponseBody(
                            byteBuffer: try await request.body.collect(upTo: 1_000)))
                }
            }
            try await service.serve(router) { address, _ in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send(
                        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world")
                    #expect(try connection.response().text == "hello world")
                }
                #expect(try await service.recordsOnce(200, "/echo", method: "POST"))
                for way in ["request", "response"] {
                    try service.registry.expect(
                        "http_server_\(way)_body_size_bytes_sum",
                        service.labels(200, "/echo", method: "POST"), 11)
                }
            }
        }

        @Test func `a sampled trace becomes an exemplar`() async throws {
            let service = Service()
            let router = service.router { $0.get("/orders") { _, _ in "fine" } }
            let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
            try await service.serve(router) { address, _ in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send(
                        """
                        GET /orders HTTP/1.1\r
                        Host: a\r
                        traceparent: 00-\(trace)-00f067aa0ba902b7-01\r
                        \r\n
                        """)
                    _ = try connection.response()
                }
                #expect(try await service.recordsOnce(200, "/orders"))
                #expect(service.registry.openMetricsText().contains("trace_id=\"\(trace)\""))
            }
        }

        @Test func `the scheme can be set for services behind a TLS proxy`() async throws {
            let service = Service()
            let router = Router()
            router.add(middleware: OutriderMiddleware(service.recorder, scheme: .https))
            router.get("/orders") { _, _ in "fine" }
            try await service.serve(router) { address, _ in
                _ = try await onOwnThread { try fetch("/orders", from: address) }
                let labels = service.labels(200, "/orders").merging(["url_scheme": "https"]) { $1 }
                let isRecorded = try await holdsEventually {
                    service.registry.value("http_server_request_duration_seconds_count", labels)
                        == 1
                }
                #expect(isRecorded)
            }
        }
    }
#endif
