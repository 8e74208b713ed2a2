// SPDX-License-Identifier: Apache-2.0
// The data of the benchmarks: 1,000 label sets, 1,024 values, 12 buckets.

import OutriderMetrics

struct LabelSet {
    let method: String
    let route: String
    let status: String
}

enum Data {
    static let labels = ["method", "route", "status"]

    static let labelSets: [LabelSet] = ["MGET", "MPUT", "MPOST", "MHEAD"].flatMap { method in
        (0..<50).flatMap { route in
            [200, 300, 400, 500, 600].map { status in
                LabelSet(
                    method: method, route: "/api/v1/resource\(route)/items", status: "\(status)")
            }
        }
    }

    /// Uniform in [0, 13), from xorshift64.
    static let values: [Double] = {
        var state: UInt64 = 88_172_645_463_325_252
        return (0..<1024).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Double(state >> 11) / Double(1 << 53 as UInt64) * 13
        }
    }()

    static let buckets = Buckets.linear(start: 1, width: 1, count: 12)

    /// Ten families of 1,000 counters each, with different values.
    static func counters(
        in registry: Registry, families: Int = 10, limit: SeriesLimit = .default
    ) {
        for family in 0..<families {
            let counters = registry.counter(
                "bench_requests_\(family)_total", help: "Total requests.", labels: labels,
                limit: limit)
            for (index, set) in labelSets.enumerated() {
                counters.with(set.method, set.route, set.status).increment(by: index * 37 + family)
            }
        }
    }

    /// 1,000 histograms of 50 observations each.
    static func histograms(in registry: Registry) {
        let histograms = registry.histogram(
            "bench_latency_seconds", help: "Latency.", labels: labels, buckets: buckets)
        for set in labelSets {
            let histogram = histograms.with(set.method, set.route, set.status)
            for value in values.prefix(50) { histogram.observe(value) }
        }
    }

    /// Gauges whose values need all 17 digits.
    static func gauges(in registry: Registry, count: Int) {
        let gauges = registry.gauge("bench_level", help: "Level.", labels: ["place"])
        for index in 0..<count { gauges.with("place-\(index)").set(values[index % 1024] / 7) }
    }
}
