// SPDX-License-Identifier: Apache-2.0
// Tests of counters and gauges whose value a closure returns at each scrape.

import OutriderMetrics
import Testing

@Suite struct CallbackTests {
    @Test func `a callback is called at each scrape`() {
        let registry = Registry.bare
        let calls = Tally()
        registry.counter("calls", help: "Calls.") { Double(calls.add()) }
        #expect(calls.count == 0)
        for turn in 1...3 {
            #expect(
                registry.text() == """
                    # HELP calls_total Calls.
                    # TYPE calls_total counter
                    calls_total \(turn)

                    """)
        }
    }

    @Test func `a gauge's callback may return any number`() throws {
        let registry = Registry.bare
        try registry.register(gauge: "a", help: "A.") { -0.5 }
        registry.gauge("b", help: "B.") { .nan }
        registry.gauge("c", help: "C.") { -.infinity }
        #expect(
            registry.text() == """
                # HELP a A.
                # TYPE a gauge
                a -0.5
                # HELP b B.
                # TYPE b gauge
                b NaN
                # HELP c C.
                # TYPE c gauge
                c -Inf

                """)
    }

    @Test(arguments: [(-1.0, "negative"), (.nan, "not_a_number"), (-.infinity, "negative")])
    func `a counter's callback that returns a negative number or NaN is refused and counted`(
        value: Double, reason: String
    ) {
        let registry = Registry(log: .silent)
        registry.counter("calls", help: "Calls.") { value }
        #expect(registry.sample("calls_total") == nil)
        registry.unregister("calls")
        #expect(registry.observationsRefused(reason) == "1")
    }

    @Test func `a callback may register metrics and record on them`() throws {
        let registry = Registry.bare
        registry.gauge("outer", help: "Outer.") {
            registry.gauge("inner", help: "Inner.").increment()
            registry.counter("labelled", help: "L.", labels: ["a"]).with("1").increment()
            registry.gauge("callback", help: "Callback.") { 7 }
            _ = registry.gauge("9", help: "Refused.")
            return 1
        }
        #expect(registry.sample("outer") == "1")
        #expect(registry.sample("inner") == "2")
        #expect(registry.sample(#"labelled_total{a="1"}"#) == "3")
        #expect(registry.sample("callback") == "7")
    }

    @Test func `a callback may unregister itself`() {
        let registry = Registry.bare
        registry.gauge("once", help: "Once.") {
            registry.unregister("once")
            return 1
        }
        #expect(registry.sample("once") == "1")
        #expect(registry.text() == "")
    }

    @Test func `a callback may create and remove series of a family that is being scraped`() {
        let registry = Registry.bare
        let family = registry.counter("hits", help: "Hits.", labels: ["n"])
        registry.gauge("aaa", help: "First.") {
            for n in 0..<1_000 { family.with("\(n)").increment() }
            for n in 0..<999 { family.remove("\(n)") }
            return 1
        }
        #expect(registry.sample(#"hits_total{n="999"}"#) == "1")
        #expect(registry.sample(#"hits_total{n="999"}"#) == "2")
        #expect(family.count == 1)
    }

    @Test func `a name that is already used is refused, and the first registration keeps it`() {
        let registry = Registry(log: .silent)
        registry.gauge("depth", help: "Depth.") { 1 }
        registry.gauge("depth", help: "Depth.") { 2 }
        let error = #expect(throws: RegistrationError.self) {
            try registry.register(counter: "depth", help: "Depth.") { 3 }
        }
        #expect(error?.code == .nameTaken)
        #expect(registry.sample("depth") == "1")
        #expect(registry.registrationsRefused(.nameTaken) == "1")
    }

    @Test func `an unregistered callback is not called again`() {
        let registry = Registry.bare
        let calls = Tally()
        registry.counter("calls", help: "Calls.") { Double(calls.add()) }
        _ = registry.text()
        #expect(registry.unregister("calls"))
        #expect(registry.text() == "")
        #expect(calls.count == 1)
    }

    @Test func `callbacks are not reported as collectors`() {
        let registry = Registry(log: .silent)
        registry.gauge("depth", help: "Depth.") { 1 }
        _ = registry.text()
        #expect(!registry.text().contains("collector="))
    }
}
