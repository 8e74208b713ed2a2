// SPDX-License-Identifier: Apache-2.0
// Tests of the route of a request, which is counted exactly once.

#if Hummingbird
    import HTTPTypes
    import Hummingbird
    import NIOCore
    import OutriderHTTP
    import OutriderHummingbird
    import OutriderMetrics
    import OutriderTesting
    import TestSupport
    import Testing

    @Suite struct RouteTests {
        @Test func `a route that throws for a missing file keeps its template`() async throws {
            let service = Service()
            let files = FileIO()
            let router = service.router {
                $0.get("/files/{name}") { _, context in
                    Response(
                        status: .ok,
                        body: try await files.loadFile(path: "/nowhere/at/all", context: context))
                }
            }
            try await service.serve(router) { address, _ in
                let answer = try await onOwnThread { try fetch("/files/a", from: address) }
                #expect(answer.status == 404)
                #expect(try await service.recordsOnce(404, "/files/{name}"))
            }
        }

        @Test(arguments: [false, true])
        func `middleware on the router and on a group counts a request once, with one warning`(
            isSecondRecorder: Bool
        ) async throws {
            let service = Service()
            let second =
                isSecondRecorder
                ? HTTPRequestRecorder(registry: service.registry) : service.recorder
            let router = service.router {
                $0.group("api").add(middleware: OutriderMiddleware(second))
                    .get("orders") { _, _ in "fine" }
            }
            try await service.serve(router) { address, _ in
                try await onOwnThread {
                    for _ in 0..<3 { _ = try fetch("/api/orders", from: address) }
                }
                let isRecorded = try await holdsEventually {
                    service.count(200, "/api/orders") == 3 && service.active == 0
                }
                #expect(isRecorded)
                #expect(service.total == 3)
            }
            let warnings = service.log.messages
            #expect(warnings.count == 1)
            #expect(warnings.first?.contains("OutriderMiddleware") == true)
        }

        @Test func `middleware with another registry counts there too`() async throws {
            let (service, other) = (Service(), Service())
            let router = service.router {
                $0.group("api").add(middleware: OutriderMiddleware(other.recorder))
                    .get("orders") { _, _ in "fine" }
            }
            try await service.serve(router) { address, _ in
                _ = try await onOwnThread { try fetch("/api/orders", from: address) }
                #expect(try await service.recordsOnce(200, "/api/orders"))
                #expect(try await other.recordsOnce(200, "/api/orders"))
            }
            #expect(service.log.messages.isEmpty && other.log.messages.isEmpty)
        }

        @Test func `a request that a handler sends within the process is counted separately`()
            async throws
        {
            let service = Service()
            let inner = service.router { $0.get("/inner") { _, _ in "fine" } }.buildResponder()
            let router = service.router {
                $0.get("/outer") { _, context in
                    let head = HTTPRequest(
                        method: .get, scheme: "http", authority: nil, path: "/inner")
                    let request = Request(head: head, body: RequestBody(buffer: ByteBuffer()))
                    return try await inner.respond(to: request, context: context)
                }
            }
            try await service.serve(router) { address, _ in
                _ = try await onOwnThread { try fetch("/outer", from: address) }
                let isRecorded = try await holdsEventually {
                    service.count(200, "/inner") == 1 && service.count(200, "/outer") == 1
                }
                #expect(isRecorded)
                #expect(service.total == 2)
            }
        }
    }
#endif
