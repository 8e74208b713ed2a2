// SPDX-License-Identifier: Apache-2.0
// Tests of expectGrowth, for metrics that have been counted before.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct GrowthTests {
    private struct Broken: Error {}

    private let registry = Registry.bare
    private let orders: Family<Counter>

    init() {
        orders = registry.counter("orders_total", help: "Orders.", labels: ["kind"])
        orders.with("book").increment(by: 0.1)
    }

    @Test func `a counter grows by what is counted`() throws {
        let answer = try registry.expectGrowth(of: "orders_total", ["kind": "book"], by: 0.2) {
            orders.with("book").increment(by: 0.2)
            return 42
        }
        #expect(answer == 42)
    }

    @Test func `an absent series grows from zero`() throws {
        try registry.expectGrowth(of: "orders_total", ["kind": "new"], by: 2) {
            orders.with("new").increment(by: 2)
        }
    }

    @Test func `asynchronous work is measured too`() async throws {
        try await registry.expectGrowth(of: "orders_total", ["kind": "book"], by: 1) {
            await Task { orders.with("book").increment() }.value
        }
    }

    @Test func `a different growth is reported`() async {
        let text = failure {
            try registry.expectGrowth(of: "orders_total", ["kind": "new"], by: 1) {
                orders.with("new").increment(by: 3)
            }
        }
        #expect(
            text == """
                expected orders_total{kind="new"} to grow by 1, but it grew by 3: from nothing to 3
                """)
        await #expect(throws: ExpectationFailure.self) {
            try await registry.expectGrowth(of: "orders_total", ["kind": "book"], by: 1) {
                await Task.yield()
            }
        }
    }

    @Test func `a series that stays absent is reported with existing ones`() {
        let text = failure {
            try registry.expectGrowth(of: "orders_total", ["kind": "disc"], by: 0) {}
        }
        #expect(text.contains("but orders_total has only other labels:\n    orders"))
    }

    @Test func `an error of the work itself is rethrown`() {
        #expect(throws: Broken.self) {
            try registry.expectGrowth(of: "orders_total", by: 1) { throw Broken() }
        }
    }
}
