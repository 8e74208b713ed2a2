// SPDX-License-Identifier: Apache-2.0
// Tests of the route and outcome of requests.

#if FlyingFox

    import FlyingFox
    import OutriderFlyingFox
    import OutriderTesting
    import TestSupport
    import Testing

    @Suite struct RecordedRoutesTests {
        @Test func `a request is counted under the path of its route`() async throws {
            let recording = Recording()
            var routes = RoutedHTTPHandler()
            routes.appendRoute("GET /orders/:id?page=*") { request in
                .text(request.routeParameters["id"] ?? "none")
            }
            let text = try await serving(routes.recorded(by: recording.recorder)) { _, address in
                try await ask("/orders/7?page=2", address).text
            }
            #expect(text == "7")
            #expect(recording.requests("GET", "/orders/:id", 200) == 1)
        }

        @Test func `requests without a matching route share one series`() async throws {
            let recording = Recording()
            var routes = RoutedHTTPHandler()
            routes.appendRoute("GET /orders") { _ in .text("") }
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                for target in ["/.env", "/wp-login.php", "/orders/1"] {
                    let status = try await ask(target, address).status
                    #expect(status == 404)
                }
                let status = try await ask("/orders", address, method: "DELETE").status
                #expect(status == 404)
            }
            #expect(recording.requests("GET", "_UNMATCHED", 404) == 3)
            #expect(recording.requests("DELETE", "_UNMATCHED", 404) == 1)
            #expect(try recording.total() == 4)
        }

        @Test func `a request that a handler passes on is counted once, where it is answered`()
            async throws
        {
            let recording = Recording()
            var routes = RoutedHTTPHandler()
            routes.appendRoute("GET /files/*", to: .unhandled())
            routes.appendRoute("GET /*") { _ in .text("here", .accepted) }
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                let text = try await ask("/files/a", address).text
                #expect(text == "here")
            }
            #expect(recording.requests("GET", "/*", 202) == 1)
            #expect(try recording.total() == 1)
        }

        @Test func `an error is counted as the 500 that the client gets`() async throws {
            let recording = Recording()
            var routes = RoutedHTTPHandler()
            routes.appendRoute("POST /orders") { _ in throw OutOfStock() }
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                let status = try await ask("/orders", address, method: "POST").status
                #expect(status == 500)
            }
            #expect(recording.requests("POST", "/orders", 500, error: "OutOfStock") == 1)
        }

        @Test(arguments: [true, false])
        func `a handler that times out is counted as the 500 that the client gets`(
            throwing isThrowing: Bool
        ) async throws {
            let recording = Recording()
            var routes = RoutedHTTPHandler()
            routes.appendRoute("GET /report") { _ in
                await Gate().wait()
                if isThrowing { try Task.checkCancellation() }
                return .text("too late")
            }
            let handler = routes.recorded(by: recording.recorder)
            try await serving(handler, timeout: 0.05) { _, address in
                let status = try await ask("/report", address).status
                #expect(status == 500)
            }
            #expect(recording.requests("GET", "/report", 500, error: "CancellationError") == 1)
            #expect(recording.active("GET") == 0)
        }

        @Test func `a request is active, and timed, until its response`() async throws {
            let recording = Recording()
            let (entered, gate) = (Gate(), Gate())
            var routes = RoutedHTTPHandler()
            routes.appendRoute("GET /report") { _ in
                entered.open()
                await gate.wait()
                return .text("")
            }
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                async let answer = ask("/report", address)
                await entered.wait()
                #expect(recording.active("GET") == 1)
                recording.clock.advance(by: .seconds(2))
                gate.open()
                let status = try await answer.status
                #expect(status == 200)
            }
            #expect(recording.active("GET") == 0)
            #expect(recording.requests("GET", "/report", 200, "sum") == 2)
        }

        @Test func `an excluded route is not recorded`() async throws {
            let recording = Recording { $0.excludedRoutes = ["/healthz"] }
            var routes = RoutedHTTPHandler()
            routes.appendRoute("GET /healthz") { _ in .text("alive") }
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                let text = try await ask("/healthz", address).text
                #expect(text == "alive")
            }
            #expect(try recording.total() == 0)
            #expect(recording.active("GET") == 0)
        }

        @Test func `an exemplar has the trace of the request's header`() async throws {
            let recording = Recording()
            var routes = RoutedHTTPHandler()
            routes.appendRoute("GET /orders") { _ in .text("") }
            let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                try await onOwnThread {
                    let connection = try Connection(address)
                    try connection.send(
                        """
                        GET /orders HTTP/1.1\r\nHost: a\r\n\
                        Traceparent: 00-\(trace)-00f067aa0ba902b7-01\r\n\r\n
                        """)
                    #expect(try connection.response().status == 200)
                }
            }
            #expect(recording.registry.openMetrics.contains(#"trace_id="\#(trace)""#))
        }
    }

    @Suite struct SingleRouteTests {
        @Test func `routes can be recorded individually`() async throws {
            let recording = Recording()
            try await serving(RoutedHTTPHandler()) { server, address in
                await server.appendRoute("GET /files/*", recordedBy: recording.recorder) { _ in
                    throw HTTPUnhandledError()
                }
                await server.appendRoute(
                    "GET,POST /orders/:id", recordedBy: recording.recorder
                ) { request in
                    .text(request.routeParameters["id"] ?? "none")
                }
                await server.appendUnmatchedRoute(recordedBy: recording.recorder)
                let text = try await ask("/orders/3", address, method: "POST").text
                #expect(text == "3")
                for target in ["/", "/scan", "/files/a"] {
                    let status = try await ask(target, address).status
                    #expect(status == 404)
                }
            }
            #expect(recording.requests("POST", "/orders/:id", 200) == 1)
            #expect(recording.requests("GET", "_UNMATCHED", 404) == 3)
            #expect(try recording.total() == 4)
            #expect(recording.active("GET") == 0)
        }

        @Test func `a route that is recorded twice is counted once, with one warning`() async throws
        {
            let recording = Recording()
            let second = HTTPRequestRecorder(registry: recording.registry)
            var orders = RoutedHTTPHandler()
            orders.appendRoute(
                "GET /api/orders",
                to: second.recording("/api/orders", ClosureHTTPHandler { _ in .text("fine") }))
            var routes = RoutedHTTPHandler()
            routes.appendRoute("GET /api/*", to: orders.recorded(by: recording.recorder))
            try await serving(routes.recorded(by: recording.recorder)) { _, address in
                for _ in 0..<2 {
                    let text = try await ask("/api/orders", address).text
                    #expect(text == "fine")
                }
                let status = try await ask("/api/none", address).status
                #expect(status == 404)
            }
            #expect(recording.requests("GET", "/api/*", 200) == 2)
            #expect(recording.requests("GET", "_UNMATCHED", 404) == 1)
            #expect(try recording.total() == 3)
            #expect(recording.log.messages.count == 1)
        }

        @Test func `any handler can be recorded under a template`() async throws {
            let recording = Recording()
            let handler = recording.recorder.recording(
                "/teapot", ClosureHTTPHandler { _ in .text("short", .teapot) })
            try await serving(handler) { _, address in
                let status = try await ask("/any", address).status
                #expect(status == 418)
            }
            #expect(recording.requests("GET", "/teapot", 418) == 1)
        }
    }

#endif
