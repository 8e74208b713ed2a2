// SPDX-License-Identifier: Apache-2.0
// A label with a million values, in a separate process, whose memory no other test affects.
//
// Prints one line of JSON: resident bytes before the first series, at the limit, and after the last
// value, and the registry's exposition then.

import Foundation
import Outrider

enum Flood {
    private struct Report: Encodable {
        let before: Int
        let atLimit: Int
        let after: Int
        let exposition: Data
        let notices: [String]
    }

    /// Increments a counter and observes a duration for each of `count` users.
    static func run(count: Int) {
        let registry = Registry(log: DiagnosticLog { _, _ in })
        let hits = registry.counter("flood_hits", help: "Hits.", labels: ["method", "user"])
        let waits = registry.histogram(
            "flood_wait_seconds", help: "Waits.", labels: ["user"], buckets: [0.1, 1],
            limit: SeriesLimit(count: 100))
        func flood(_ users: Range<Int>) {
            for user in users {
                let name = "user-\(user)@example.org"
                hits.with(user % 2 == 0 ? "GET" : "PUT", name).increment()
                waits.with(name).observe(0.5)
            }
        }
        let before = Serve.residentBytes()
        let limit = min(count, SeriesLimit.default.count)
        flood(0..<limit)
        let atLimit = Serve.residentBytes()
        flood(limit..<count)
        let after = Serve.residentBytes()
        let report = Report(
            before: before, atLimit: atLimit, after: after,
            exposition: Data(registry.text().utf8), notices: registry.overflowNotices)
        guard let json = try? JSONEncoder().encode(report) else { return }
        FileHandle.standardOutput.write(json + Data("\n".utf8))
    }
}
