// SPDX-License-Identifier: Apache-2.0
// Tests of OpenMetrics 1.0: the same values as in the text format, with units, exemplars and an EOF
// line.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct OpenMetricsTests {
    @Test func `families have types and units, and the exposition ends with EOF`() {
        let registry = Registry.bare
        registry.counter("cpu_seconds_total", help: "CPU.").increment(by: 2)
        registry.counter("orders", help: "Say \"when\"\\\n.", labels: ["kind"]).with("book")
            .increment()
        registry.gauge("depth_bytes", help: "") { 1.5 }
        registry.gauge("bytes", help: "No unit, a name.").set(1)
        registry.info("build", help: "Build.", ["v": "1"])
        registry.histogram("wait", help: "Waits.", buckets: [1]).observe(2)
        #expect(
            registry.openMetricsText() == #"""
                # TYPE build info
                # HELP build Build.
                build_info{v="1"} 1
                # TYPE bytes gauge
                # HELP bytes No unit, a name.
                bytes 1
                # TYPE cpu_seconds counter
                # UNIT cpu_seconds seconds
                # HELP cpu_seconds CPU.
                cpu_seconds_total 2
                # TYPE depth_bytes gauge
                # UNIT depth_bytes bytes
                depth_bytes 1.5
                # TYPE orders counter
                # HELP orders Say \"when\"\\\n.
                orders_total{kind="book"} 1
                # TYPE wait histogram
                # HELP wait Waits.
                wait_bucket{le="1.0"} 0
                wait_bucket{le="+Inf"} 1
                wait_sum 2
                wait_count 1
                # EOF

                """#)
    }

    @Test func `an empty exposition still ends with EOF`() {
        #expect(Registry.bare.openMetricsText() == "# EOF\n")
    }

    @Test func `a sum that may decrease is omitted, since OpenMetrics does not allow it`() {
        let registry = Registry.bare
        registry.histogram("below", help: "B.", buckets: [-1, 1]).observe(0.5)
        registry.histogram("negative", help: "N.", buckets: [1]).observe(-3)
        #expect(
            registry.openMetricsText() == """
                # TYPE below histogram
                # HELP below B.
                below_bucket{le="-1.0"} 0
                below_bucket{le="1.0"} 1
                below_bucket{le="+Inf"} 1
                # TYPE negative histogram
                # HELP negative N.
                negative_bucket{le="1.0"} 1
                negative_bucket{le="+Inf"} 1
                # EOF

                """)
        #expect(registry.sample("negative_sum") == "-3")
        #expect(registry.sample("negative_count") == "1")
    }

    @Test func `creation times are shown on request, to a sixteenth of a second`() {
        let clock = ManualClock(secondsSinceEpoch: 1000)
        let registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        let orders = registry.counter("orders", help: "", labels: ["kind"])
        orders.with("old").increment()
        clock.advance(by: .milliseconds(1_270))
        orders.with("new").increment()
        registry.histogram("wait", help: "", buckets: [1]).observe(2)
        registry.gauge("depth", help: "").set(1)
        #expect(
            registry.openMetricsText(creationTimes: true) == """
                # TYPE depth gauge
                depth 1
                # TYPE orders counter
                orders_total{kind="old"} 1
                orders_created{kind="old"} 1000
                orders_total{kind="new"} 1
                orders_created{kind="new"} 1001.25
                # TYPE wait histogram
                wait_bucket{le="1.0"} 0
                wait_bucket{le="+Inf"} 1
                wait_sum 2
                wait_count 1
                wait_created 1001.27
                # EOF

                """)
        #expect(!registry.openMetricsText().contains("_created"))
        #expect(!registry.text().contains("_created"))
    }

    @Test func `a creation time stays when other series are removed`() {
        let clock = ManualClock(secondsSinceEpoch: 1000)
        let registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        let family = registry.counter("orders", help: "", labels: ["n"])
        family.with("kept").increment()
        clock.advance(by: .seconds(5))
        for n in 0..<200 {
            family.with("\(n)").increment()
            family.remove("\(n)")
        }
        let text = registry.openMetricsText(creationTimes: true)
        #expect(text.contains("orders_created{n=\"kept\"} 1000\n"))
    }

    @Test func `a counter whose name ends in _created is a separate family of unknown type`() {
        let registry = Registry.bare
        registry.counter("connections_total", help: "").increment()
        registry.counter("connections_created_total", help: "").increment(exemplar: .trace("a"))
        #expect(
            registry.openMetricsText() == """
                # TYPE connections_created_total unknown
                connections_created_total 1
                # TYPE connections counter
                connections_total 1
                # EOF

                """)
    }

    @Test func `a name that would be taken for a creation time is refused`() {
        let registry = Registry.bare
        _ = try? registry.register(counter: "orders_total", help: "")
        let error = #expect(throws: RegistrationError.self) {
            try registry.register(gauge: "orders_created", help: "")
        }
        #expect(error?.code == .nameTaken)
    }
}
