// SPDX-License-Identifier: Apache-2.0
// Tests of the handlers with requests that get a response.

#if NIO
    import NIOCore
    import OutriderHTTP
    import OutriderMetrics
    import OutriderTesting
    import TestSupport
    import Testing

    @Suite struct CompletedRequestTests {
        @Test(arguments: Pipeline.allCases)
        func `a request is counted under its template, with the sizes of its bodies`(
            pipeline: Pipeline
        ) async throws {
            let service = Service { $0.recordsBodySizes = true }
            try await service.serve(pipeline) { address in
                let connection = try Connection(address)
                try connection.send(
                    request("/orders/7", method: "POST", fields: "Content-Length: 11\r\n")
                        + "hello world")
                #expect(try connection.response().text == "11")
            }
            #expect(try await service.recordsOnce(200, "/orders/{id}", method: "POST"))
            let labels = service.labels(200, "/orders/{id}", method: "POST")
            try service.registry.expect("http_server_request_body_size_bytes_sum", labels, 11)
            try service.registry.expect("http_server_response_body_size_bytes_sum", labels, 2)
        }

        @Test(arguments: Pipeline.eachKindOfParts)
        func `a request without a matching route is recorded without its path`(
            pipeline: Pipeline
        ) async throws {
            let service = Service()
            try await service.serve(pipeline) { _ = try fetch("/404", from: $0) }
            #expect(try await service.recordsOnce(404, "_UNMATCHED"))
        }

        @Test(arguments: Pipeline.eachKindOfParts)
        func `a route may be set after the head`(pipeline: Pipeline) async throws {
            let service = Service()
            try await service.serve(pipeline) { _ = try fetch("/matched", from: $0) }
            #expect(try await service.recordsOnce(200, "/late/{id}"))
        }

        @Test(arguments: Pipeline.eachKindOfParts)
        func `a response with a 5xx status is an error of that type`(
            pipeline: Pipeline
        ) async throws {
            let service = Service()
            try await service.serve(pipeline) { _ = try fetch("/500", from: $0) }
            #expect(try await service.recordsOnce(500, "/500", error: "500"))
        }

        @Test(arguments: Pipeline.eachKindOfParts)
        func `informational heads are not responses`(pipeline: Pipeline) async throws {
            let service = Service()
            try await service.serve(pipeline) { address in
                let connection = try Connection(address)
                try connection.send(request("/continue"))
                #expect(try connection.response().status == 100)
                #expect(try connection.response().status == 103)
                #expect(try connection.response().status == 200)
            }
            #expect(try await service.recordsOnce(200, "/continue"))
        }

        @Test(arguments: Pipeline.eachKindOfParts)
        func `HEAD is recorded as such`(pipeline: Pipeline) async throws {
            let service = Service()
            try await service.serve(pipeline) { address in
                let answer = try fetch("/ok", from: address, method: "HEAD")
                #expect(answer.status == 200)
            }
            #expect(try await service.recordsOnce(200, "/ok", method: "HEAD"))
        }

        @Test(arguments: Pipeline.eachKindOfParts)
        func `rarely used methods share one label`(pipeline: Pipeline) async throws {
            let service = Service()
            try await service.serve(pipeline) { address in
                for method in ["PROPFIND", "MKCOL"] {
                    _ = try fetch("/ok", from: address, method: method)
                }
                #expect(eventually { service.count(200, "/ok", method: "_OTHER") == 2 })
            }
            #expect(service.total == 2)
        }

        @Test(arguments: Pipeline.eachKindOfParts)
        func `a sampled trace becomes an exemplar`(pipeline: Pipeline) async throws {
            let service = Service()
            let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
            try await service.serve(pipeline) { address in
                let connection = try Connection(address)
                try connection.send(
                    request("/ok", fields: "traceparent: 00-\(trace)-00f067aa0ba902b7-01\r\n"))
                _ = try connection.response()
            }
            #expect(try await service.recordsOnce(200, "/ok"))
            #expect(service.registry.openMetricsText().contains("trace_id=\"\(trace)\""))
        }

        @Test(arguments: Pipeline.eachKindOfParts)
        func `a stream is timed to its last byte`(pipeline: Pipeline) async throws {
            let service = Service()
            try await service.serve(pipeline) { address in
                let connection = try Connection(address)
                try connection.send(request("/stream"))
                _ = try connection.text(upTo: "first")
                #expect(service.active == 1)
                #expect(service.total == 0)
                service.clock.advance(by: .seconds(3))
                service.release.succeed()
                _ = try connection.text(upTo: "0\r\n\r\n")
            }
            #expect(try await service.recordsOnce(200, "/stream"))
            try service.registry.expect(
                "http_server_request_duration_seconds_sum", service.labels(200, "/stream"), 3)
        }

        @Test(arguments: Pipeline.allCases)
        func `pipelined requests are each recorded with their own response`(
            pipeline: Pipeline
        ) async throws {
            let service = Service()
            let targets = ["/stream", "/404", "/orders/1", "/500", "/orders/2", "/held"]
            try await service.serve(pipeline) { address in
                let connection = try Connection(address)
                try connection.send(targets.map { request($0) }.joined())
                _ = try connection.text(upTo: "first")
                service.release.succeed()
                _ = try connection.text(upTo: "0\r\n\r\n")
                let statuses = try targets.dropFirst().map { _ in try connection.response().status }
                #expect(statuses == [404, 200, 500, 200, 200])
                #expect(eventually { service.total == 6 && service.active == 0 })
            }
            #expect(service.count(200, "/stream") == 1)
            #expect(service.count(404, "_UNMATCHED") == 1)
            #expect(service.count(200, "/orders/{id}") == 2)
            #expect(service.count(500, "/500", error: "500") == 1)
            #expect(service.count(200, "/held") == 1)
        }
    }
#endif
