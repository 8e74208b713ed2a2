// SPDX-License-Identifier: Apache-2.0
// Tests of value lookups by name and labels, and of the hints when a value is absent.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct LookupTests {
    private let registry = Registry.bare
    private let orders: Family<Counter>

    init() {
        orders = registry.counter("orders_total", help: "Orders.", labels: ["kind", "shop"])
        orders.with("book", "1").increment(by: 3)
        orders.with("ticket", "").increment(by: 0.5)
        registry.gauge("idle", help: "Idle.").set(.nan)
        registry.histogram("wait_seconds", help: "Waits.", buckets: [1]).observe(0.5)
    }

    @Test func `a value is found by its name and all its labels`() throws {
        #expect(registry.value("orders_total", ["shop": "1", "kind": "book"]) == 3)
        #expect(registry.value("orders_total", ["kind": "ticket"]) == 0.5)
        #expect(registry.value("orders_total", ["kind": "ticket", "shop": "", "x": ""]) == 0.5)
        #expect(registry.value("orders_total", ["kind": "book"]) == nil)
        #expect(registry.value("orders_total") == nil)
        #expect(registry.value("wait_seconds_bucket", ["le": "+Inf"]) == 1)
        #expect(registry.value("wait_seconds") == nil)
        let exposition = try registry.exposition(names: ["idle"])
        #expect(exposition.families.map(\.name) == ["idle"])
    }

    @Test func `a met expectation throws nothing`() throws {
        try registry.expect("orders_total", ["kind": "book", "shop": "1"], 3)
        try registry.expect("wait_seconds_sum", 0.5)
        try registry.expect("idle", .nan)
        try registry.exposition().expect("wait_seconds_count", 1)
    }

    @Test func `a different value is reported`() {
        let text = failure { try registry.expect("wait_seconds_sum", 2) }
        #expect(text == "expected wait_seconds_sum 2, but it is 0.5")
    }

    @Test func `existing label sets are listed`() {
        let text = failure { try registry.expect("orders_total", ["kind": "disc"], 1) }
        #expect(
            text == """
                expected orders_total{kind="disc"} 1, but orders_total has only other labels:
                    orders_total{kind="book",shop="1"} 3
                    orders_total{kind="ticket"} 0.5
                """)
    }

    @Test func `similar names are suggested`() {
        for name in ["orders", "order_total", "ordres_total"] {
            let text = failure { try registry.expect(name, 1) }
            #expect(
                text == """
                    expected \(name) 1, but there is no such name. Similar names are:
                        orders_total
                    """)
        }
    }

    @Test func `without a similar name, existing names are listed`() {
        let text = failure { try registry.expect("temperature_celsius", 1) }
        #expect(
            text.contains("but there is no such name. The names are:\n    idle\n    orders_total"))
    }

    @Test func `the name of a histogram lists the names of its samples`() {
        let text = failure { try registry.expect("wait_seconds", 1) }
        #expect(
            text == """
                expected wait_seconds 1, but wait_seconds is a histogram with the samples:
                    wait_seconds_bucket
                    wait_seconds_sum
                    wait_seconds_count
                """)
    }

    @Test func `a long list is truncated`() {
        for number in 0..<20 { orders.with("k\(number)", "1").increment() }
        let text = failure { try registry.expect("orders_total", 1) }
        #expect(text.split(separator: "\n").count == 12)
        #expect(text.hasSuffix("\n    and 12 more"))
    }

    @Test func `an empty registry says so`() {
        let text = failure { try Registry.bare.expect("x", 1) }
        #expect(text == "expected x 1, but nothing is exposed")
    }
}
