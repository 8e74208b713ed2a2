// SPDX-License-Identifier: Apache-2.0
// Tests of refused definitions: an error with advice, or a working instrument that is not exposed.

import OutriderMetrics
import Testing

@Suite struct RefusedRegistrationTests {
    @Test(arguments: Mistake.all)
    func `an invalid definition throws its code, its metric and advice`(mistake: Mistake) {
        let registry = Registry.bare
        mistake.before(registry)
        let error = #expect(throws: RegistrationError.self) { try mistake.attempt(registry) }
        #expect(error?.code == mistake.code)
        #expect(error?.description.contains(mistake.subject) == true)
        #expect(error?.description == "metric \"\(error?.metric ?? "")\": \(error?.advice ?? "")")
    }

    @Test(arguments: Mistake.all)
    func `the advice suggests a remedy`(mistake: Mistake) {
        let registry = Registry.bare
        mistake.before(registry)
        let error = #expect(throws: RegistrationError.self) { try mistake.attempt(registry) }
        let verbs = ["rename", "choose", "use", "give", "remove", "sort", "must be"]
        #expect(
            verbs.contains { error?.advice.contains($0) == true }, "\(error?.advice ?? "no error")")
    }

    @Test(arguments: Mistake.all)
    func `an invalid definition does not change the scrape`(mistake: Mistake) {
        let registry = Registry.bare
        mistake.before(registry)
        let before = registry.text()
        #expect(throws: RegistrationError.self) { try mistake.attempt(registry) }
        mistake.use(registry)
        #expect(registry.text() == before)
    }

    @Test(arguments: Mistake.all)
    func `with a non-throwing call, each invalid definition is counted by reason`(
        mistake: Mistake
    ) {
        let registry = Registry(log: .silent)
        mistake.before(registry)
        mistake.use(registry)
        mistake.use(registry)
        #expect(registry.registrationsRefused(mistake.code) == "2")
    }

    @Test(arguments: Mistake.all)
    func `with a non-throwing call, an invalid definition is logged once, with the same advice`(
        mistake: Mistake
    ) {
        let recorded = RecordedLog()
        let registry = Registry(log: recorded.log)
        mistake.before(registry)
        let error = #expect(throws: RegistrationError.self) { try mistake.attempt(registry) }
        for _ in 0..<10 { mistake.use(registry) }
        #expect(recorded.lines.count == 1)
        // Control characters become spaces in the log.
        let advice = String(
            (error?.description ?? "").map { $0 == "\n" || $0 == "\u{0}" ? " " : $0 })
        #expect(recorded.lines.first?.contains(advice) == true)
        #expect(recorded.lines.first?.contains("not exposed") == true)
    }

    @Test func `every kind of instrument works after its definition was refused`() {
        let registry = Registry.bare
        let counter = registry.counter("9", help: "Nine.")
        counter.increment(by: 2)
        counter.increment(by: 0.5)
        #expect(counter.value == 2.5)
        let child = registry.counter("9", help: "Nine.", labels: ["a", "b"]).with("1", "2")
        child.increment()
        #expect(child.value == 1)
        let gauge = registry.gauge("9", help: "Nine.")
        gauge.set(3)
        #expect(gauge.value == 3)
        let histogram = registry.histogram("9", help: "Nine.", buckets: [1, 2])
        histogram.observe(1.5)
        #expect(histogram.count == 1)
        #expect(histogram.sum == 1.5)
        registry.info("9", help: "Nine.", ["le": "x", "": "y"]).set(["le": "z"])
        registry.counter("9", help: "Nine.") { 1 }
        registry.gauge("9", help: "Nine.") { 1 }
        registry.add(TestCollector(families: [.gauge("9", help: "Nine.")]) { _ in })
        #expect(registry.text() == "")
    }

    @Test func `children of a refused family can be looked up and removed`() {
        let family = Registry.bare.counter("9", help: "Nine.", labels: ["a", "a"])
        family.with("1", "2").increment()
        family.with(["a": "1"]).increment()
        family.remove("1", "2")
        family.removeAll(matching: ["a": "1"])
        family.removeAll()
        #expect(family.count == 0)
    }

    @Test func `two invalid definitions are logged separately`() {
        let recorded = RecordedLog()
        let registry = Registry(log: recorded.log)
        for name in ["1", "2", "1", "2"] { _ = registry.gauge(name, help: "X.") }
        #expect(recorded.lines.count == 2)
        #expect(recorded.lines.allSatisfy { $0.hasPrefix("error: ") })
    }

    @Test func `the names of the registry's own metrics cannot be registered`() {
        let registry = Registry(log: .silent)
        let gauge = registry.gauge("outrider_scrape_bytes", help: "Mine.")
        gauge.set(-1)
        #expect(gauge.value == -1)
        #expect(registry.sample("outrider_scrape_bytes") != "-1")
        #expect(throws: RegistrationError.self) {
            try registry.register(
                counter: "outrider_observations_refused", help: "Mine.", labels: ["reason"])
        }
    }
}
