// SPDX-License-Identifier: Apache-2.0
// Tests of gauges: any number, up and down.

import OutriderMetrics
import Testing

@Suite struct GaugeTests {
    @Test func `a new gauge is exposed at zero`() {
        let registry = Registry.bare
        let gauge = registry.gauge("queue_depth", help: "Items waiting.")
        #expect(gauge.value == 0)
        #expect(
            registry.text() == """
                # HELP queue_depth Items waiting.
                # TYPE queue_depth gauge
                queue_depth 0

                """)
    }

    @Test func `a gauge goes up and down from its set value`() {
        let gauge = Registry.bare.gauge("queue_depth", help: "Items waiting.")
        gauge.set(10)
        gauge.increment()
        gauge.increment(by: 2.5)
        gauge.decrement()
        gauge.decrement(by: 20)
        #expect(gauge.value == -7.5)
    }

    @Test func `negative amounts go in the other direction`() {
        let gauge = Registry.bare.gauge("queue_depth", help: "Items waiting.")
        gauge.increment(by: -3)
        gauge.decrement(by: -1)
        #expect(gauge.value == -2)
    }

    @Test(arguments: [
        (0.0, "0"), (-1, "-1"), (0.1, "0.1"), (.infinity, "+Inf"), (-.infinity, "-Inf"),
        (.nan, "NaN"), (-.nan, "NaN"),
    ])
    func `every double is allowed`(value: Double, printed: String) {
        let registry = Registry(log: .silent)
        registry.gauge("temperature_celsius", help: "Warmth.").set(value)
        #expect(registry.sample("temperature_celsius") == printed)
        #expect(registry.observationsRefused("not_a_number") == "0")
        #expect(registry.observationsRefused("infinite") == "0")
    }

    @Test func `setting the largest integers does not trap`() {
        let gauge = Registry.bare.gauge("queue_depth", help: "Items waiting.")
        gauge.set(Int.max)
        #expect(gauge.value == 0x1p63)
        gauge.set(Int.min)
        #expect(gauge.value == -0x1p63)
    }

    @Test func `a gauge that is NaN can be set to a number again`() {
        let gauge = Registry.bare.gauge("temperature_celsius", help: "Warmth.")
        gauge.set(Double.nan)
        gauge.increment()
        #expect(gauge.value.isNaN)
        gauge.set(20)
        #expect(gauge.value == 20)
    }

    @Test func `a gauge outlives its registry`() {
        let gauge = Registry.bare.gauge("queue_depth", help: "Items waiting.")
        gauge.set(3)
        #expect(gauge.value == 3)
    }
}
