// SPDX-License-Identifier: Apache-2.0
// Tests of a route with more label sets than slots: all of them are counted.

import OutriderHTTP
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct SeriesSlotTests {
    @Test func `every combination of method, scheme, status and error of a route is counted`()
        throws
    {
        let recording = Recording { $0.buckets = [1] }
        let route = recording.recorder.route("/orders/{id}")
        let methods = ["GET", "POST", "PUT", "nonsense"]
        let statuses = Array(200..<210) + [404, 500, 503]
        for _ in 0..<3 {
            for method in methods {
                for scheme in URLScheme.allCases {
                    for status in statuses {
                        let token = recording.recorder.begin(
                            method: method, scheme: scheme, route: route)
                        token.setStatus(status)
                        token.finish(status == 503 ? .failed(OutOfStock()) : .completed)
                    }
                }
            }
        }
        let exposition = try recording.registry.exposition()
        let samples = try recording.registry.samples("\(Recording.durations)_count")
        #expect(samples.count == methods.count * 2 * statuses.count)
        #expect(samples.allSatisfy { $0.value == 3 })
        for method in methods.dropLast() + ["_OTHER"] {
            for scheme in ["http", "https"] {
                for status in statuses {
                    let error = status == 503 ? "OutOfStock" : status == 500 ? "500" : ""
                    try exposition.expect(
                        "\(Recording.durations)_count",
                        Recording.labels(
                            "\(status)", error: error, method: method, scheme: scheme), 3)
                }
            }
        }
    }

    @Test func `every status has its own label set`() throws {
        let recording = Recording { $0.buckets = [1] }
        for status in 100...999 {
            let token = recording.begin()
            token.setStatus(status)
            token.finish()
        }
        let statuses = try recording.registry.values(
            of: "http_response_status_code", on: "\(Recording.durations)_count")
        #expect(statuses == (100...999).map { String($0) })
        #expect(try recording.counted() == 900)
    }
}
