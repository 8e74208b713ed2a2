// SPDX-License-Identifier: Apache-2.0
// Tests of responses that the pipeline does not send, and of duplicate handlers.

#if NIO
    import NIOCore
    import NIOHTTP1
    import OutriderHTTP
    import OutriderNIO
    import OutriderTesting
    import TestSupport
    import Testing

    #if HTTPTypes
        import HTTPTypes
        import NIOHTTPTypesHTTP1
    #endif

    extension Service {
        /// The number of requests whose responses were not sent.
        func unsent(_ route: String) -> Double? {
            var labels = labels(0, route, error: "HTTPParserError")
            labels["http_response_status_code"] = ""
            return registry.value("http_server_request_duration_seconds_count", labels)
        }

        /// The number of inputs that were not HTTP.
        var protocolErrors: Double? {
            registry.value("http_server_protocol_errors_total", ["reason": "parse"])
        }
    }

    @Suite struct DroppedResponseTests {
        // Behind SwiftNIO's pipelining handler, the error of a head arrives late; there the failed
        // end reveals it.
        @Test(arguments: [
            (Pipeline.http1, "/bad-head"), (.beforePipelining, "/bad-head"),
            (.withoutPipelining, "/bad-head"), (.beforePipelining, "/bad-head-close"),
            (.withoutPipelining, "/bad-head-close"),
        ])
        func `a response that cannot be sent is a failure of the service without a status`(
            pipeline: Pipeline, target: String
        ) async throws {
            let service = Service()
            try await service.serve(pipeline) { address in
                let connection = try Connection(address)
                try connection.send(request(target))
                #expect(eventually { service.total == 1 && service.active == 0 })
            }
            #expect(service.unsent(target) == 1)
            #expect(service.protocolErrors == nil)
            #expect(service.registry.value("http_server_aborted_requests_total") == nil)
        }

        @Test func `later responses on that connection are not sent either`() async throws {
            let service = Service()
            try await service.serve(.http1) { address in
                let connection = try Connection(address)
                try connection.send(request("/bad-head") + request("/ok"))
                #expect(eventually { service.total == 2 && service.active == 0 })
            }
            #expect(service.unsent("/bad-head") == 1)
            #expect(service.unsent("/ok") == 1)
        }

        @Test func `a response whose trailers cannot be sent is aborted by the service`()
            async throws
        {
            let service = Service()
            try await service.serve(.http1) { address in
                let connection = try Connection(address)
                try connection.send(request("/bad-trailer"))
                _ = try connection.text(upTo: "yes")
                #expect(eventually { service.total == 1 && service.active == 0 })
            }
            #expect(service.count(200, "/bad-trailer", error: "HTTPParserError") == 1)
            try service.registry.expect(
                "http_server_aborted_requests_total", ["http_route": "/bad-trailer"], 1)
            #expect(service.protocolErrors == nil)
        }

        @Test(arguments: Pipeline.eachKindOfParts.map { $0 != .http1 })
        func `duplicate handlers count each request once, with one warning`(
            isOfOtherParts: Bool
        ) async throws {
            let service = Service()
            try await service.serve { channel in
                let handlers = channel.pipeline.syncOperations
                try handlers.configureHTTPServerPipeline()
                let template = Service.template(of:)
                let first = HTTP1ServerMetricsHandler(service.recorder) { template($0.uri) }
                try handlers.addHandler(first)
                let second = HTTPRequestRecorder(registry: service.registry)
                #if HTTPTypes
                    if isOfOtherParts {
                        try handlers.addHandler(HTTP1ToHTTPServerCodec(secure: false))
                        try handlers.addHandler(
                            HTTPServerMetricsHandler(second) { template($0.path ?? "") })
                        try handlers.addHandler(HTTPToHTTP1ServerCodec())
                    }
                #endif
                try handlers.addHandler(HTTP1ServerMetricsHandler(second) { template($0.uri) })
                try handlers.addHandler(Application(release: service.release.futureResult))
            } _: { address in
                for _ in 0..<2 {
                    let connection = try Connection(address)
                    try connection.send(request("/ok") + request("/ok"))
                    for _ in 0..<2 { #expect(try connection.response().status == 200) }
                }
                #expect(try fetch("/ok", from: address, method: "BREW").status == 400)
                #expect(eventually { service.total == 4 && service.active == 0 })
                #expect(eventually { service.protocolErrors == 1 })
            }
            #expect(service.count(200, "/ok") == 4)
            let warnings = Set(service.log.messages.map { $0.prefix { $0 != " " } })
            #expect(
                warnings
                    == (isOfOtherParts
                        ? ["HTTP1ServerMetricsHandler", "HTTPServerMetricsHandler"]
                        : ["HTTP1ServerMetricsHandler"]))
            #expect(service.log.messages.count == warnings.count)
        }
    }
#endif
