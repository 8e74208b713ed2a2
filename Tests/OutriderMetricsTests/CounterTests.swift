// SPDX-License-Identifier: Apache-2.0
// Tests of counters: whole numbers and fractions are counted exactly, and the value never
// decreases.

import OutriderMetrics
import Testing

@Suite struct CounterTests {
    @Test func `a new counter is exposed at zero`() {
        let registry = Registry.bare
        let counter = registry.counter("orders", help: "Orders.")
        #expect(counter.value == 0)
        #expect(
            registry.text() == """
                # HELP orders_total Orders.
                # TYPE orders_total counter
                orders_total 0

                """)
    }

    @Test func `whole increments add up`() {
        let registry = Registry.bare
        let counter = registry.counter("orders", help: "Orders.")
        counter.increment()
        counter.increment(by: 41)
        counter.increment(by: 0)
        #expect(counter.value == 42)
        #expect(registry.sample("orders_total") == "42")
    }

    @Test func `fractions add up`() {
        let registry = Registry.bare
        let counter = registry.counter("cpu_seconds", help: "CPU time.")
        counter.increment(by: 0.25)
        counter.increment(by: 1.5)
        #expect(counter.value == 1.75)
        #expect(registry.sample("cpu_seconds_total") == "1.75")
    }

    @Test func `whole numbers and fractions add to one value`() {
        let registry = Registry.bare
        let counter = registry.counter("cpu_seconds", help: "CPU time.")
        counter.increment(by: 3)
        counter.increment(by: 0.5)
        counter.increment()
        #expect(counter.value == 4.5)
        #expect(registry.sample("cpu_seconds_total") == "4.5")
    }

    @Test func `whole counts stay exact beyond the precision of a double`() {
        let registry = Registry.bare
        let counter = registry.counter("bytes", help: "Bytes.")
        counter.increment(by: 9_007_199_254_740_992)
        counter.increment()
        #expect(registry.sample("bytes_total") == "9007199254740993")
    }

    @Test(arguments: [-1, Int.min])
    func `a negative whole increment is refused and counted`(amount: Int) {
        let registry = Registry(log: .silent)
        let counter = registry.counter("orders", help: "Orders.")
        counter.increment(by: 7)
        counter.increment(by: amount)
        #expect(registry.sample("orders_total") == "7")
        #expect(registry.observationsRefused("negative") == "1")
    }

    @Test(arguments: [
        (-0.5, "negative"), (-.leastNonzeroMagnitude, "negative"), (-.infinity, "negative"),
        (.nan, "not_a_number"), (.infinity, "infinite"),
    ])
    func `an invalid fraction is refused and counted`(
        amount: Double, reason: String
    ) {
        let registry = Registry(log: .silent)
        let counter = registry.counter("cpu_seconds", help: "CPU time.")
        counter.increment(by: 1.5)
        counter.increment(by: amount)
        #expect(registry.sample("cpu_seconds_total") == "1.5")
        #expect(registry.observationsRefused(reason) == "1")
    }

    @Test func `a negative zero is valid`() {
        let registry = Registry(log: .silent)
        let counter = registry.counter("cpu_seconds", help: "CPU time.")
        counter.increment(by: -0.0)
        #expect(registry.sample("cpu_seconds_total") == "0")
        #expect(registry.observationsRefused("negative") == "0")
    }

    @Test func `a refused increment is logged with advice`() {
        let recorded = RecordedLog()
        let counter = Registry(log: recorded.log).counter("orders", help: "Orders.")
        counter.increment(by: -3)
        #expect(recorded.lines.count == 1)
        #expect(recorded.lines.first?.hasPrefix("warning: ") == true)
        #expect(recorded.lines.first?.contains("gauge") == true)
    }

    @Test func `the largest increments neither trap nor decrease the counter`() {
        let registry = Registry.bare
        let counter = registry.counter("bytes", help: "Bytes.")
        var last = 0.0
        for _ in 0..<5 {
            counter.increment(by: Int.max)
            #expect(counter.value >= last)
            last = counter.value
        }
        for _ in 0..<3 {
            counter.increment(by: Double.greatestFiniteMagnitude)
            #expect(counter.value >= last)
            last = counter.value
        }
    }

    @Test(arguments: [32, 40, 53, 54, 61, 62, 63])
    func `large increments do not wrap around`(bits: Int) {
        let registry = Registry.bare
        let counter = registry.counter("bytes", help: "Bytes.")
        // Twice the range of an integer, unless that takes too long.
        let amount = Int(truncatingIfNeeded: UInt64(1) << UInt64(bits) - 1)
        let times = min(1 << (65 - bits), 100_000)
        for _ in 0..<times { counter.increment(by: amount) }
        let sum = Double(amount) * Double(times)
        #expect(abs(counter.value - sum) <= sum * 1e-12)
        #expect(registry.sample("bytes_total").flatMap(Double.init) == counter.value)
    }

    @Test func `a counter outlives its registry`() {
        let counter = Registry.bare.counter("orders", help: "Orders.")
        counter.increment()
        counter.increment(by: 0.5)
        #expect(counter.value == 1.5)
    }
}
