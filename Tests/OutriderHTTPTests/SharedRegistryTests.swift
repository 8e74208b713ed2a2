// SPDX-License-Identifier: Apache-2.0
// Tests of recorders on one registry, with other recorders or with conflicting names.

import OutriderHTTP
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct SharedRegistryTests {
    @Test func `two recorders with one configuration share their series`() throws {
        let recording = Recording()
        let other = HTTPRequestRecorder(registry: recording.registry)
        let tokens = [recording.recorder, other].map { recorder in
            let token = recorder.begin(method: "GET")
            token.setRoute(template: "/orders/{id}")
            return token
        }
        #expect(try recording.inFlight() == 2)
        for token in tokens { token.finish() }
        try recording.registry.expect("\(Recording.durations)_count", Recording.labels("200"), 2)
        #expect(try recording.registry.samples("\(Recording.durations)_count").count == 1)
        #expect(try recording.inFlight() == 0)
    }

    @Test func `counts remain after their recorder is gone`() throws {
        let registry = Registry(hasOwnMetrics: false, log: .silent)
        for _ in 0..<3 { HTTPRequestRecorder(registry: registry).begin(method: "GET").finish() }
        let labels = Recording.labels("200", route: "_UNMATCHED")
        try registry.expect("\(Recording.durations)_count", labels, 3)
        try registry.expect(
            Recording.active, ["http_request_method": "GET", "url_scheme": "http"], 0)
    }

    @Test func `conflicting names do not stop a recorder`() throws {
        let registry = Registry(hasOwnMetrics: false, log: .silent)
        registry.counter("http_requests_total", help: "Mine.").increment()
        registry.gauge(Recording.durations, help: "Mine.").set(7)
        registry.gauge(Recording.active, help: "Mine.", labels: ["x"]).with("1").set(8)
        registry.counter(Recording.aborted, help: "Mine.", labels: ["a", "b"])
            .with("1", "2").increment()
        var configuration = HTTPRequestRecorder.Configuration()
        configuration.naming = .both
        configuration.recordsBodySizes = true
        let recorder = HTTPRequestRecorder(registry: registry, configuration: configuration)
        for number in 0..<10 {
            let token = recorder.begin(method: "GET")
            token.setRoute(template: "/\(number)")
            token.recordHead(status: 200)
            token.finish(.clientDisconnected)
        }
        recorder.begin(method: "GET").upgrade(to: "websocket").end()
        try registry.expect("http_requests_total", 1)
        try registry.expect(Recording.durations, 7)
        try registry.expect(Recording.active, ["x": "1"], 8)
        try registry.expect(
            "http_server_request_body_size_bytes_count",
            Recording.labels("200", error: "client_disconnect", route: "/3"), 1)
    }

    @Test(arguments: [Duration.seconds(-5), .seconds(Int64.max)])
    func `a clock with invalid values does not stop a recorder`(uptime: Duration) throws {
        let clock = ManualClock(uptime: uptime)
        clock.advance(by: .seconds(Int64.max))
        let registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        let token = HTTPRequestRecorder(registry: registry).begin(method: "GET")
        clock.advance(by: .seconds(Int64.max))
        token.finish(traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        registry.counter("orders", help: "Orders.").increment(exemplar: ["order": "1"])
        let labels = Recording.labels("200", route: "_UNMATCHED")
        try registry.expect("\(Recording.durations)_count", labels, 1)
        _ = try registry.openMetrics()
    }

    @Test func `a second recorder with different buckets does not stop the first`() throws {
        let recording = Recording()
        var configuration = HTTPRequestRecorder.Configuration()
        configuration.buckets = .lowLatency
        let other = HTTPRequestRecorder(registry: recording.registry, configuration: configuration)
        other.begin(method: "GET").finish()
        recording.begin().finish()
        #expect(try recording.counted(where: ["http_route": "/orders/{id}"]) == 1)
    }
}
