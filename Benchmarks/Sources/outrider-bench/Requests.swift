// SPDX-License-Identifier: Apache-2.0
// The cost of recording a request, compared with the minimum of any recorder.

import Glibc
import OutriderHTTP
import OutriderMetrics

enum RequestBench {
    /// The minimum for recording durations: an object for the request and two clock readings.
    final class Floor {
        let start = nanoseconds(CLOCK_MONOTONIC)
        var words: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)

        deinit {
            words.0 = nanoseconds(CLOCK_MONOTONIC) - start
            if words.0 == .max { print("") }
        }
    }

    /// The templates that a router returns.
    static let templates = (0..<50).map { "/api/v1/resource\($0)/{id}" }

    static func floor(_ count: Int) {
        for _ in 0..<count { _ = Floor() }
    }

    /// A request whose route was looked up before.
    static func resolved(_ recorder: HTTPRequestRecorder, _ count: Int) {
        let route = recorder.route("/api/v1/resource7/{id}")
        for _ in 0..<count {
            let token = recorder.begin(method: "GET", route: route)
            token.setStatus(200)
            token.finish()
        }
    }

    /// A request with a head and a body, but without a trace header for an exemplar.
    static func withoutExemplar(_ recorder: HTTPRequestRecorder, _ count: Int) {
        let route = recorder.route("/api/v1/resource7/{id}")
        let header: String? = nil
        for _ in 0..<count {
            let token = recorder.begin(method: "POST", route: route)
            token.recordHead(status: 201)
            token.addResponseBytes(100)
            token.finish(traceparent: header)
        }
    }

    /// A request whose route is set by its template.
    static func byTemplate(_ recorder: HTTPRequestRecorder, _ count: Int) {
        let templates = templates
        for index in 0..<count {
            let token = recorder.begin(method: "GET")
            token.setRoute(template: templates[index % 50])
            token.setStatus(200)
            token.finish()
        }
    }
}

func requests(_ harness: Harness) {
    let recorder = HTTPRequestRecorder(registry: Registry())
    harness.operation("request_floor") { RequestBench.floor($0) }
    harness.operation("request_token") { RequestBench.resolved(recorder, $0) }
    harness.operation("request_token_template") { RequestBench.byTemplate(recorder, $0) }
    harness.pair("request_floor") { RequestBench.floor($0) }
    harness.pair("request_token") { RequestBench.resolved(recorder, $0) }
}
