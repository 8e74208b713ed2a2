// SPDX-License-Identifier: Apache-2.0
// Tests of routes: templates, unmatched requests, exclusions, streams, and the limit.

import OutriderHTTP
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct RouteTests {
    @Test func `unmatched requests share one constant, whatever their path`() throws {
        let recording = Recording()
        recording.recorder.begin(method: "GET").finish()
        recording.begin(route: nil).finish()
        recording.recorder.begin(method: "GET", route: recording.recorder.unmatched).finish()
        let labels = Recording.labels("200", route: "_UNMATCHED")
        try recording.registry.expect("\(Recording.durations)_count", labels, 3)
        #expect(try recording.counted() == 3)
    }

    @Test func `the route set last is recorded`() throws {
        let recording = Recording()
        let token = recording.begin(route: "/")
        token.setRoute(template: nil)
        token.setRoute(template: "/orders/{id}")
        token.finish()
        try recording.expectOne("200")
    }

    @Test func `a route handle is the same as its template`() throws {
        let recording = Recording()
        let route = recording.recorder.route("/orders/{id}")
        #expect(route.template == "/orders/{id}")
        recording.recorder.begin(method: "GET", route: route).finish()
        let token = recording.recorder.begin(method: "GET")
        token.setRoute(route)
        token.finish()
        recording.begin().finish()
        try recording.registry.expect("\(Recording.durations)_count", Recording.labels("200"), 3)
    }

    @Test func `a route of another recorder is counted in the recorder of the request`() throws {
        let (one, other) = (Recording(), Recording { $0.excludedRoutes = ["/healthz"] })
        let foreign = one.recorder.route("/orders/{id}")
        other.recorder.begin(method: "GET", route: foreign).finish()
        let token = other.recorder.begin(method: "GET")
        token.setRoute(foreign)
        token.finish()
        other.recorder.begin(method: "GET", route: one.recorder.unmatched).finish()
        other.recorder.begin(method: "GET", route: one.recorder.route("/healthz")).finish()
        #expect(try one.counted() == 0)
        try other.registry.expect("\(Recording.durations)_count", Recording.labels("200"), 2)
        #expect(try other.counted(where: ["http_route": "_UNMATCHED"]) == 1)
        #expect(try other.counted() == 3)
    }

    @Test func `a route may outlive its recorder`() throws {
        let recording = Recording()
        let foreign = HTTPRequestRecorder(registry: Registry(log: .silent)).route("/orders/{id}")
        recording.recorder.begin(method: "GET", route: foreign).finish()
        try recording.expectOne("200")
    }

    // MARK: - Exclusion

    @Test func `an excluded route is not recorded`() throws {
        let recording = Recording {
            $0.excludedRoutes = ["/healthz"]
            $0.naming = .both
            $0.recordsBodySizes = true
            $0.recordsTimeToFirstByte = true
        }
        let route = recording.recorder.route("/healthz")
        for outcome in [RequestToken.Outcome.completed, .failed(OutOfStock()), .clientDisconnected]
        {
            let token = recording.recorder.begin(method: "GET", route: route)
            #expect(try recording.inFlight() == 0)
            token.recordHead(status: 500)
            token.finish(outcome)
        }
        _ = recording.recorder.begin(method: "GET", route: route)
        let samples = try recording.registry.exposition().families.flatMap(\.samples)
        // A gauge without labels exists from the start.
        #expect(samples.map(\.name) == ["http_requests_in_flight"])
        #expect(samples.map(\.value) == [0])
    }

    @Test func `a request is no longer in flight once its route is known to be excluded`() throws {
        let recording = Recording { $0.excludedRoutes = ["/healthz"] }
        let token = recording.recorder.begin(method: "GET")
        #expect(try recording.inFlight() == 1)
        token.setRoute(template: "/healthz")
        #expect(try recording.inFlight() == 0)
        token.setRoute(template: "/healthz")
        token.finish()
        #expect(try recording.inFlight() == 0)
        #expect(try recording.counted() == 0)
    }

    @Test func `an excluded route stays excluded beyond the route limit`() throws {
        let recording = Recording {
            $0.excludedRoutes = ["/healthz", "/readyz"]
            $0.limit = SeriesLimit(count: 2)
        }
        for number in 0..<5 { recording.begin(route: "/\(number)").finish() }
        recording.begin(route: "/healthz").finish()
        recording.begin(route: "/readyz").finish()
        #expect(try recording.counted() == 5)
        #expect(try recording.inFlight() == 0)
    }

    // MARK: - Streams

    @Test func `a streaming route is timed to the response head`() throws {
        let recording = Recording { $0.streamingRoutes = ["/events"] }
        let token = recording.begin(route: "/events")
        recording.clock.advance(by: .milliseconds(250))
        token.recordHead(status: 200)
        recording.clock.advance(by: .seconds(3_600))
        #expect(try recording.inFlight() == 1)
        token.finish()
        let labels = Recording.labels("200", route: "/events")
        try recording.registry.expect("\(Recording.durations)_sum", labels, 0.25)
        try recording.expectOne("200", route: "/events")
    }

    @Test func `a client that leaves a stream early is not an error`() throws {
        let recording = Recording { $0.streamingRoutes = ["/events"] }
        for outcome in [RequestToken.Outcome.completed, .clientDisconnected] {
            let token = recording.begin(route: "/events")
            token.recordHead(status: 200)
            token.finish(outcome)
        }
        recording.begin(route: "/events").recordHead(status: 200)
        let labels = Recording.labels("200", route: "/events")
        try recording.registry.expect("\(Recording.durations)_count", labels, 3)
        #expect(try recording.total("http_server_aborted_requests_total") == 0)
    }

    @Test func `a streaming route without a head is timed to its end`() throws {
        let recording = Recording { $0.streamingRoutes = ["/events"] }
        let token = recording.begin(route: "/events")
        recording.clock.advance(by: .seconds(2))
        token.finish(.clientDisconnected)
        let labels = Recording.labels("499", error: "client_disconnect", route: "/events")
        try recording.registry.expect("\(Recording.durations)_sum", labels, 2)
    }

    @Test func `a streaming route stays one beyond the route limit`() throws {
        let recording = Recording {
            $0.streamingRoutes = ["/events"]
            $0.limit = SeriesLimit(count: 1)
        }
        for number in 0..<5 { recording.begin(route: "/\(number)").finish() }
        let token = recording.begin(route: "/events")
        token.recordHead(status: 200)
        recording.clock.advance(by: .seconds(3_600))
        token.finish()
        #expect(try recording.total("\(Recording.durations)_sum") == 0)
    }

    // MARK: - The limit

    @Test func `a template of more than 1,024 bytes is an overflow, and every request is counted`()
        throws
    {
        let recording = Recording()
        for number in 0..<20 {
            recording.begin(route: "/\(number)" + String(repeating: "x", count: 1_024)).finish()
        }
        #expect(try recording.counted(where: ["http_route": "_OVERFLOW"]) == 20)
    }

    @Test func `routes beyond the limit share one series, and every request is counted`() throws {
        let recording = Recording {
            $0.limit = SeriesLimit(count: 100)
            $0.buckets = [1]
        }
        for number in 0..<1_000 { recording.begin(route: "/r\(number)").finish() }
        let routes = try recording.registry.values(
            of: "http_route", on: "\(Recording.durations)_count")
        #expect(Set(routes) == Set((0..<100).map { "/r\($0)" } + ["_OVERFLOW"]))
        #expect(try recording.counted(where: ["http_route": "_OVERFLOW"]) == 900)
        #expect(try recording.counted() == 1_000)
        recording.begin(route: "/r7").finish()
        #expect(try recording.counted(where: ["http_route": "/r7"]) == 2)
    }

    @Test(arguments: [Int.min, -1, 0, 1])
    func `a limit below one is raised to one`(limit: Int) throws {
        let recording = Recording { $0.limit = SeriesLimit(count: limit) }
        recording.begin(route: "/a").finish()
        recording.begin(route: "/b").finish()
        #expect(try recording.counted() == 2)
        #expect(try recording.counted(where: ["http_route": "/b"]) == 0)
    }
}
