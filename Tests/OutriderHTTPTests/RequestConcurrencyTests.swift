// SPDX-License-Identifier: Apache-2.0
// Tests of many threads on one token, route or recorder: every request is counted exactly once.

import OutriderHTTP
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct RequestConcurrencyTests {
    private static let tokens = 2_000

    @Test func `a token that four threads finish is counted once`() async throws {
        let recording = Recording()
        let tokens = (0..<Self.tokens).map { _ in recording.begin() }
        #expect(try recording.inFlight() == Double(Self.tokens))
        await inFourTasks { number in
            for token in tokens {
                switch number {
                case 0: token.finish()
                case 1: token.finish(.failed(OutOfStock()))
                case 2: token.finish(.clientDisconnected)
                default: _ = token.upgrade(to: "websocket")
                }
            }
        }
        #expect(try recording.counted() == Double(Self.tokens))
        #expect(try recording.inFlight() == 0)
        #expect(try recording.total("http_server_upgraded_connections") == 0)
    }

    @Test func `a token that four threads drop is counted once`() async throws {
        let recording = Recording()
        for _ in 0..<200 {
            let token = recording.begin()
            await withTaskGroup { group in
                for _ in 0..<4 { group.addTask { token.recordHead(status: 200) } }
            }
        }
        #expect(try recording.counted(where: ["error_type": "abandoned"]) == 200)
        #expect(try recording.total(Recording.aborted) == 200)
        #expect(try recording.inFlight() == 0)
    }

    @Test func `a route excluded while the request ends leaves no request in flight`() async throws
    {
        let recording = Recording { $0.excludedRoutes = ["/healthz"] }
        let excluded = recording.recorder.route("/healthz")
        let tokens = (0..<Self.tokens).map { _ in recording.begin() }
        await inFourTasks { number in
            for token in number < 2 ? tokens : tokens.reversed() {
                if number % 2 == 0 { token.finish() } else { token.setRoute(excluded) }
            }
        }
        #expect(try recording.inFlight() == 0)
        #expect(try recording.counted() <= Double(Self.tokens))
    }

    @Test func `calls on one token from four threads are all recorded`() async throws {
        let recording = Recording {
            $0.recordsBodySizes = true
            $0.recordsTimeToFirstByte = true
        }
        let token = recording.begin()
        await inFourTasks { _ in
            for _ in 0..<1_000 {
                token.addRequestBytes(1)
                token.addResponseBytes(2)
                token.setRoute(template: "/orders/{id}")
                token.recordHead(status: 200)
                token.captureTrace()
            }
        }
        token.finish()
        try recording.expectOne("200")
        try recording.registry.expect(
            "http_server_request_body_size_bytes_sum", Recording.labels("200"), 4_000)
        try recording.registry.expect(
            "http_server_response_body_size_bytes_sum", Recording.labels("200"), 8_000)
        #expect(try recording.total("http_server_time_to_first_byte_seconds_count") == 1)
    }

    @Test func `an upgraded connection that four threads end is counted once`() async throws {
        let recording = Recording()
        let connections = (0..<500).map { _ in recording.begin().upgrade(to: "websocket") }
        await inFourTasks { _ in for connection in connections { connection.end() } }
        #expect(try recording.total("http_server_upgraded_connections") == 0)
        #expect(
            try recording.total("http_server_upgraded_connection_duration_seconds_count") == 500)
    }

    @Test func `label sets beyond a route's slots are all counted, from four threads`() async throws
    {
        let recording = Recording()
        let route = recording.recorder.route("/orders/{id}")
        await inFourTasks { number in
            for turn in 0..<3_000 {
                // In a different order in each task, so that they race for the slots.
                let combination = turn * [1, 7, 11, 13][number] % 60
                let token = recording.recorder.begin(
                    method: combination < 30 ? "GET" : "POST", route: route)
                token.setStatus(200 + combination % 30)
                token.finish()
            }
        }
        #expect(try recording.counted() == 12_000)
        let samples = try recording.registry.samples("\(Recording.durations)_count")
        #expect(samples.count == 60)
        #expect(samples.allSatisfy { $0.value == 200 })
        #expect(try recording.inFlight() == 0)
    }

    @Test func `equal templates from four threads are the same routes`() async throws {
        let recording = Recording { $0.buckets = [1] }
        await inFourTasks { number in
            var text = ""
            for turn in 0..<3_000 {
                let route = turn * [1, 7, 11, 13][number] % 500
                if turn % 2 == 0 {
                    recording.begin(route: "/a-template-on-the-heap/\(route)").finish()
                } else {
                    text.removeAll(keepingCapacity: true)
                    text.append("/a-template-on-the-heap/")
                    text.append(String(route))
                    recording.begin(route: text).finish()
                }
            }
        }
        #expect(try recording.counted() == 12_000)
        let samples = try recording.registry.samples("\(Recording.durations)_count")
        #expect(samples.count == 500)
        #expect(samples.allSatisfy { $0.value == 24 })
    }

    @Test func `the route limit holds while four threads race for the last one`() async throws {
        let recording = Recording { $0.limit = SeriesLimit(count: 50) }
        await inFourTasks { number in
            for turn in 0..<1_000 { recording.begin(route: "/\(number)/\(turn)").finish() }
        }
        let routes = try recording.registry.values(
            of: "http_route", on: "\(Recording.durations)_count")
        // One less if a request beyond the limit is counted before the first request of the last
        // route: the series of that route then exceeds the family's limit, which is 50 too.
        #expect((50...51).contains(routes.count))
        #expect(routes.contains("_OVERFLOW"))
        #expect(try recording.counted() == 4_000)
    }

    @Test func `error types from four threads are bounded, and every request is counted`()
        async throws
    {
        let recording = Recording()
        await inFourTasks { _ in
            for turn in 0..<1_000 {
                let error: any Error = turn % 2 == 0 ? OutOfStock() : Deviation(description: "")
                recording.begin().finish(.failed(error))
            }
        }
        #expect(try recording.counted(where: ["error_type": "OutOfStock"]) == 2_000)
        #expect(try recording.counted(where: ["error_type": "Deviation"]) == 2_000)
    }

    @Test func `exemplars from four threads are complete, and no scrape fails`() async throws {
        let recording = Recording()
        let working = Tally()
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        await withTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<1_000 {
                        recording.begin().finish(traceparent: "00-\(trace)-00f067aa0ba902b7-01")
                        recording.clock.advance(by: .milliseconds(100))
                    }
                    working.add()
                }
            }
            while working.count < 4 {
                for exemplar in (try? recording.registry.exemplars(on: Recording.durations)) ?? [] {
                    #expect(exemplar.labels["trace_id"] == trace)
                }
                await Task.yield()
            }
        }
        #expect(try recording.counted() == 4_000)
        #expect(!(try recording.registry.exemplars(on: Recording.durations)).isEmpty)
    }

    @Test func `outgoing requests that four threads finish are counted once`() async throws {
        let registry = Registry(hasOwnMetrics: false, log: .silent)
        let recorder = HTTPClientRecorder(registry: registry)
        let tokens = (0..<Self.tokens).map { number in
            recorder.begin(method: "GET", to: recorder.peer("h\(number % 30)", port: 1))
        }
        await inFourTasks { number in
            for (position, token) in tokens.enumerated() {
                token.setStatus(200 + position % 40)
                number % 2 == 0 ? token.finish() : token.finish(.cancelled)
            }
        }
        let samples = try registry.samples("http_client_request_duration_seconds_count")
        #expect(samples.reduce(0) { $0 + $1.value } == Double(Self.tokens))
    }
}
