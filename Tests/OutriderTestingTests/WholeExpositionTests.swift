// SPDX-License-Identifier: Apache-2.0
// Tests of comparing a whole exposition, with differences shown line by line.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct WholeExpositionTests {
    private let registry = Registry.bare

    init() {
        let orders = registry.counter("orders", help: "Orders.", labels: ["kind"])
        orders.with("book").increment(by: 3)
        orders.with("ticket").increment(by: 4)
        registry.gauge("idle", help: "Idle\nworkers.").set(2)
        registry.histogram("wait_seconds", help: "Waits.", buckets: [0.5, 10]).observe(0.25)
    }

    @Test func `the order of families and series does not matter`() throws {
        try registry.expect(
            exactly: """
                # TYPE wait_seconds histogram
                # HELP wait_seconds Waits.
                wait_seconds_sum 2.5e-1
                wait_seconds_bucket{le="0.5"} 1
                wait_seconds_bucket{le="10.0"} 1
                wait_seconds_bucket{le="+Inf"} 1
                wait_seconds_count 1

                # HELP orders_total Orders.
                # TYPE orders_total counter
                orders_total{kind="ticket"} 4.0
                orders_total{kind="book"} 3
                # HELP idle Idle\\nworkers.
                # TYPE idle gauge
                idle 2
                """)
    }

    @Test func `selected families are compared by name`() throws {
        try registry.expect(
            exactly: "# HELP idle Idle\\nworkers.\n# TYPE idle gauge\nidle 2\n", names: ["idle"])
        try Registry.bare.expect(exactly: "")
    }

    @Test func `a difference lists the differing families, line by line`() {
        let text = failure {
            try registry.expect(
                exactly: """
                    # HELP idle Idle.
                    # TYPE idle counter
                    idle 2
                    # HELP orders_total Orders.
                    # TYPE orders_total counter
                    orders_total{kind="book"} 5
                    orders_total{kind="disc"} 1
                    # HELP wait_seconds Waits.
                    # TYPE wait_seconds histogram
                    wait_seconds_bucket{le="0.5"} 1
                    wait_seconds_bucket{le="10.0"} 1
                    wait_seconds_bucket{le="+Inf"} 1
                    wait_seconds_sum 0.25
                    wait_seconds_count 1
                    # TYPE zebra gauge
                    zebra 1
                    """)
        }
        #expect(
            text == """
                the exposition differs (- expected, + found):
                - # TYPE idle counter
                + # TYPE idle gauge
                - # HELP idle Idle.
                + # HELP idle Idle\\nworkers.
                  idle 2
                  # TYPE orders_total counter
                  # HELP orders_total Orders.
                - orders_total{kind="book"} 5
                + orders_total{kind="book"} 3
                - orders_total{kind="disc"} 1
                + orders_total{kind="ticket"} 4
                - # TYPE zebra gauge
                - zebra 1
                """)
    }

    @Test func `buckets are matched by their bounds`() {
        let text = failure {
            try registry.expect(
                exactly: """
                    # HELP wait_seconds Waits.
                    # TYPE wait_seconds histogram
                    wait_seconds_bucket{le="0.5"} 0
                    wait_seconds_bucket{le="+Inf"} 1
                    wait_seconds_count 1
                    """, names: ["wait_seconds"])
        }
        #expect(
            text == """
                the exposition differs (- expected, + found):
                  # TYPE wait_seconds histogram
                  # HELP wait_seconds Waits.
                - wait_seconds_bucket{le="0.5"} 0
                + wait_seconds_bucket{le="0.5"} 1
                + wait_seconds_bucket{le="10.0"} 1
                  wait_seconds_bucket{le="+Inf"} 1
                  wait_seconds_count 1
                + wait_seconds_sum 0.25
                """)
    }

    @Test func `an expectation that cannot be parsed is reported separately`() {
        let text = failure { try registry.expect(exactly: "# TYPE idle gauge\nidle two") }
        #expect(
            text == """
                the expected text is not a valid exposition: line 2: the value "two" is not a number
                """)
    }
}
