// SPDX-License-Identifier: Apache-2.0
// Tests of the handlers with requests that get no response, and with input that is not a request.

#if NIO
    import NIOCore
    import NIOHTTP1
    import NIOPosix
    import OutriderHTTP
    import OutriderMetrics
    import OutriderNIO
    import OutriderTesting
    import TestSupport
    import Testing

    @Suite struct BrokenConnectionTests {
        @Test(arguments: Pipeline.allCases, [false, true])
        func `a client that disconnects before the response head is counted as 499`(
            pipeline: Pipeline, isAbrupt: Bool
        ) async throws {
            let service = Service()
            try await service.serve(pipeline) { address in
                let connection = try Connection(address)
                if isAbrupt { connection.hangUpAbruptly() }
                try connection.send(request("/held"))
                #expect(eventually { service.active == 1 })
            }
            #expect(try await service.recordsOnce(499, "/held", error: "client_disconnect"))
        }

        @Test(arguments: Pipeline.eachKindOfParts, [false, true])
        func `a client that disconnects during a stream aborts it`(
            pipeline: Pipeline, isAbrupt: Bool
        ) async throws {
            let service = Service()
            try await service.serve(pipeline) { address in
                let connection = try Connection(address)
                if isAbrupt { connection.hangUpAbruptly() }
                try connection.send(request("/stream"))
                _ = try connection.text(upTo: "first")
            }
            #expect(try await service.recordsOnce(200, "/stream", error: "client_disconnect"))
            try service.registry.expect(
                "http_server_aborted_requests_total", ["http_route": "/stream"], 1)
        }

        @Test(arguments: Pipeline.eachKindOfParts, [false, true])
        func `a client that disconnects during its request body is counted as 499`(
            pipeline: Pipeline, isAbrupt: Bool
        ) async throws {
            let service = Service()
            try await service.serve(pipeline) { address in
                let connection = try Connection(address)
                if isAbrupt { connection.hangUpAbruptly() }
                try connection.send(
                    request("/upload", method: "POST", fields: "Content-Length: 99\r\n") + "hello")
                #expect(eventually { service.active == 1 })
            }
            #expect(
                try await service.recordsOnce(
                    499, "/upload", method: "POST", error: "client_disconnect"))
            #expect(
                service.registry.value("http_server_protocol_errors_total", ["reason": "parse"])
                    == nil)
        }

        @Test(arguments: Pipeline.eachKindOfParts)
        func `a service that closes instead of responding leaves nothing in flight`(
            pipeline: Pipeline
        ) async throws {
            let service = Service()
            try await service.serve(pipeline) { address in
                for target in ["/close", "/half"] {
                    let connection = try Connection(address)
                    try connection.send(request(target))
                    connection.drain()
                }
                #expect(eventually { service.total == 2 && service.active == 0 })
            }
            #expect(service.count(499, "/close", error: "client_disconnect") == 1)
            #expect(service.count(200, "/half", error: "client_disconnect") == 1)
        }

        @Test(arguments: [Pipeline.beforePipelining, .withoutPipelining])
        func `all pipelined requests of a client that disconnects end`(
            pipeline: Pipeline
        ) async throws {
            let service = Service()
            try await service.serve(pipeline) { address in
                let connection = try Connection(address)
                connection.hangUpAbruptly()
                try connection.send(
                    String(repeating: request("/held"), count: 50))
                #expect(eventually { service.active == 50 })
            }
            let haveEnded = try await holdsEventually { service.active == 0 }
            #expect(haveEnded)
            #expect(service.count(499, "/held", error: "client_disconnect") == 50)
        }

        @Test func `a flood of pipelined requests is tracked up to a limit`() async throws {
            let service = Service()
            let errors = "http_server_protocol_errors_total"
            try await service.serve(.withoutPipelining) { address in
                let connection = try Connection(address)
                try connection.send(String(repeating: request("/held"), count: 1_500))
                #expect(
                    eventually { service.registry.value(errors, ["reason": "other"]) == 476 })
                #expect(service.active == 1_024)
                service.release.succeed()
                for _ in 0..<1_500 { #expect(try connection.response().status == 200) }
                // The untracked requests have their responses by now, so new requests are tracked
                // again.
                try connection.send(request("/ok"))
                _ = try connection.response()
                #expect(eventually { service.active == 0 && service.count(200, "/ok") == 1 })
            }
            #expect(service.count(200, "/held") == 1_024)
        }

        @Test(arguments: Pipeline.eachKindOfParts)
        func `input that is not HTTP is counted, and not as a request`(
            pipeline: Pipeline
        ) async throws {
            let service = Service()
            try await service.serve(pipeline) { address in
                #expect(try fetch("/ok", from: address, method: "BREW").status == 400)
                let long = String(repeating: "a", count: 100_000)
                let connection = try Connection(address)
                try connection.send(request("/ok", fields: "X: \(long)\r\n"))
                #expect(try connection.response().status == 400)
                let errors = "http_server_protocol_errors_total"
                #expect(
                    eventually {
                        service.registry.value(errors, ["reason": "parse"]) == 1
                            && service.registry.value(errors, ["reason": "header_too_large"]) == 1
                    })
            }
            #expect(service.total == 0)
        }

        @Test func `a handler that is removed ends the requests it tracks`() async throws {
            let service = Service()
            let removal = MultiThreadedEventLoopGroup.singleton.any().makePromise(of: Void.self)
            try await service.serve { channel in
                let handlers = channel.pipeline.syncOperations
                try handlers.configureHTTPServerPipeline()
                let recording = HTTP1ServerMetricsHandler(service.recorder) { $0.uri }
                try handlers.addHandler(recording)
                try handlers.addHandler(Application(release: service.release.futureResult))
                removal.futureResult.hop(to: channel.eventLoop).assumeIsolated().whenComplete { _ in
                    handlers.removeHandler(recording, promise: nil)
                }
            } _: { address in
                let connection = try Connection(address)
                try connection.send(request("/held"))
                #expect(eventually { service.active == 1 })
                removal.succeed()
                #expect(eventually { service.active == 0 })
                service.release.succeed()
                #expect(try connection.response().status == 200)
            }
            #expect(try await service.recordsOnce(499, "/held", error: "client_disconnect"))
        }
    }
#endif
