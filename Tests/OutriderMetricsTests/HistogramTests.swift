// SPDX-License-Identifier: Apache-2.0
// Tests of histograms: cumulative buckets and their sum.

import OutriderMetrics
import Testing

@Suite struct HistogramTests {
    @Test func `buckets are cumulative and inclusive, and +Inf is the count`() {
        let registry = Registry.bare
        let sizes = registry.histogram("reply_bytes", help: "Replies.", buckets: [1, 10, 100.5])
        for value in [0.5, 1, 1.5, 10, 100.5, 100.75, 1_000] { sizes.observe(value) }
        #expect(
            registry.text() == """
                # HELP reply_bytes Replies.
                # TYPE reply_bytes histogram
                reply_bytes_bucket{le="1.0"} 2
                reply_bytes_bucket{le="10.0"} 4
                reply_bytes_bucket{le="100.5"} 5
                reply_bytes_bucket{le="+Inf"} 7
                reply_bytes_sum 1214.25
                reply_bytes_count 7

                """)
    }

    @Test func `the default buckets are those of OpenTelemetry`() {
        let registry = Registry.bare
        registry.histogram("wait_seconds", help: "Waits.").observe(0.3)
        #expect(
            registry.text() == """
                # HELP wait_seconds Waits.
                # TYPE wait_seconds histogram
                wait_seconds_bucket{le="0.005"} 0
                wait_seconds_bucket{le="0.01"} 0
                wait_seconds_bucket{le="0.025"} 0
                wait_seconds_bucket{le="0.05"} 0
                wait_seconds_bucket{le="0.075"} 0
                wait_seconds_bucket{le="0.1"} 0
                wait_seconds_bucket{le="0.25"} 0
                wait_seconds_bucket{le="0.5"} 1
                wait_seconds_bucket{le="0.75"} 1
                wait_seconds_bucket{le="1.0"} 1
                wait_seconds_bucket{le="2.5"} 1
                wait_seconds_bucket{le="5.0"} 1
                wait_seconds_bucket{le="7.5"} 1
                wait_seconds_bucket{le="10.0"} 1
                wait_seconds_bucket{le="+Inf"} 1
                wait_seconds_sum 0.3
                wait_seconds_count 1

                """)
    }

    @Test func `le follows the labels of the series`() {
        let registry = Registry.bare
        let waits = registry.histogram(
            "wait_seconds", help: "Waits.", labels: ["queue", "zone"], buckets: [0.5])
        waits.with("mail", "a").observe(0.25)
        waits.with("", "").observe(2)
        #expect(
            registry.text() == """
                # HELP wait_seconds Waits.
                # TYPE wait_seconds histogram
                wait_seconds_bucket{queue="mail",zone="a",le="0.5"} 1
                wait_seconds_bucket{queue="mail",zone="a",le="+Inf"} 1
                wait_seconds_sum{queue="mail",zone="a"} 0.25
                wait_seconds_count{queue="mail",zone="a"} 1
                wait_seconds_bucket{le="0.5"} 0
                wait_seconds_bucket{le="+Inf"} 1
                wait_seconds_sum 2
                wait_seconds_count 1

                """)
    }

    @Test(arguments: [
        (Double.nan, "not_a_number"), (.infinity, "infinite"), (-.infinity, "infinite"),
    ])
    func `an observation that would corrupt the sum is refused and counted`(
        value: Double, reason: String
    ) {
        let registry = Registry(log: .silent)
        let waits = registry.histogram("wait_seconds", help: "Waits.", buckets: [1])
        waits.observe(0.5)
        waits.observe(value)
        #expect(waits.count == 1)
        #expect(waits.sum == 0.5)
        #expect(registry.sample("wait_seconds_count") == "1")
        #expect(registry.observationsRefused(reason) == "1")
    }

    @Test func `a negative observation is in the lowest bucket and lowers the sum`() {
        let registry = Registry.bare
        let drift = registry.histogram("drift_seconds", help: "Drift.", buckets: [-1, 0, 1])
        drift.observe(-5)
        drift.observe(-0.5)
        #expect(
            registry.text() == """
                # HELP drift_seconds Drift.
                # TYPE drift_seconds histogram
                drift_seconds_bucket{le="-1.0"} 1
                drift_seconds_bucket{le="0.0"} 2
                drift_seconds_bucket{le="1.0"} 2
                drift_seconds_bucket{le="+Inf"} 2
                drift_seconds_sum -5.5
                drift_seconds_count 2

                """)
    }

    @Test func `a duration is observed in seconds`() {
        let waits = Registry.bare.histogram("wait_seconds", help: "Waits.")
        waits.observe(Duration.milliseconds(250))
        #expect(waits.sum == 0.25)
        waits.observe(Duration.seconds(Int64.max))
        #expect(waits.count == 2)
    }

    @Test func `time returns the result of its closure and counts it`() {
        let waits = Registry.bare.histogram("wait_seconds", help: "Waits.")
        #expect(waits.time { 42 } == 42)
        #expect(waits.count == 1)
        #expect(waits.sum >= 0)
    }

    @Test func `a closure that throws is timed too`() {
        let waits = Registry.bare.histogram("wait_seconds", help: "Waits.")
        #expect(throws: TestFailure.self) { try waits.time { throw TestFailure() } }
        #expect(waits.count == 1)
    }

    @Test func `an asynchronous closure is timed to its end`() async {
        let waits = Registry.bare.histogram("wait_seconds", help: "Waits.")
        let result = await waits.time {
            await Task.yield()
            return waits.count
        }
        #expect(result == 0)
        #expect(waits.count == 1)
    }

    @Test func `an asynchronous closure that throws is timed too`() async {
        let waits = Registry.bare.histogram("wait_seconds", help: "Waits.")
        await #expect(throws: TestFailure.self) {
            try await waits.time {
                await Task.yield()
                throw TestFailure()
            }
        }
        #expect(waits.count == 1)
    }

    @Test func `random observations are in the same buckets as in a simple count`() {
        let seed = UInt64.random(in: .min ... .max)
        var generator = SeededGenerator(seed: seed)
        let bounds = [-10.0, 0, 0.1, 1, 2.5, 1_000]
        let registry = Registry.bare
        let histogram = registry.histogram("x", help: "X.", buckets: Buckets(bounds))
        var values: [Double] = []
        for _ in 0..<2_000 {
            // Quarters below 2^40, so that every partial sum is exact in any order.
            let onBound = Bool.random(using: &generator)
            let value = Double(Int.random(in: -80...8_000, using: &generator)) / 4
            values.append(
                onBound ? [-10, 0, 1, 2.5, 1_000].randomElement(using: &generator) ?? 0 : value)
        }
        for value in values { histogram.observe(value) }
        var expected = "# HELP x X.\n# TYPE x histogram\n"
        for bound in bounds {
            expected += "x_bucket{le=\"\(bound)\"} \(values.count { $0 <= bound })\n"
        }
        let sum = registry.sample("x_sum")
        expected += "x_bucket{le=\"+Inf\"} \(values.count)\n"
        expected += "x_sum \(sum ?? "")\nx_count \(values.count)\n"
        #expect(registry.text() == expected, "seed \(seed)")
        #expect(sum.flatMap(Double.init) == values.reduce(0, +), "seed \(seed)")
    }
}
