// SPDX-License-Identifier: Apache-2.0
// Tests of name clashes: families with samples of the same name cannot share a registry, in any
// order.

import OutriderMetrics
import Testing

@Suite struct NameClashTests {
    enum Definition: Sendable, Hashable {
        case counter(String)
        case gauge(String)
        case histogram(String)
        case info(String)
        case callback(String)
        case collected(String)

        var name: String {
            switch self {
            case .counter(let name), .gauge(let name), .histogram(let name), .info(let name),
                .callback(let name), .collected(let name):
                name
            }
        }

        func register(in registry: Registry) throws(RegistrationError) {
            switch self {
            case .counter(let name): _ = try registry.register(counter: name, help: "X.")
            case .gauge(let name): _ = try registry.register(gauge: name, help: "X.")
            case .histogram(let name): _ = try registry.register(histogram: name, help: "X.")
            case .info(let name): try registry.register(info: name, help: "X.", [:])
            case .callback(let name): try registry.register(gauge: name, help: "X.") { 1 }
            case .collected(let name):
                let family = CollectedFamily.counter(name, help: "X.")
                try registry.register(
                    TestCollector(families: [family]) { $0.add(family, 1) })
            }
        }
    }

    static let clashes: [(Definition, Definition)] = [
        (.histogram("x"), .gauge("x_count")),
        (.histogram("x"), .gauge("x_sum")),
        (.histogram("x"), .gauge("x_bucket")),
        (.histogram("x"), .histogram("x_count")),
        (.histogram("x"), .callback("x_count")),
        (.histogram("orders_total"), .counter("orders")),
        (.counter("orders_total"), .gauge("orders")),
        (.counter("orders"), .gauge("orders_total")),
        (.counter("orders"), .callback("orders_total")),
        (.counter("orders"), .histogram("orders")),
        (.collected("orders"), .gauge("orders")),
        (.collected("orders"), .counter("orders_total")),
        (.info("build"), .gauge("build_info")),
        (.info("build_info"), .gauge("build")),
    ]

    @Test(arguments: clashes)
    func `clashing names are refused in either order, and the first stays`(
        first: Definition, second: Definition
    ) throws {
        for (early, late) in [(first, second), (second, first)] {
            let registry = Registry.bare
            try early.register(in: registry)
            let before = registry.text()
            let error = #expect(throws: RegistrationError.self) {
                try late.register(in: registry)
            }
            #expect(error?.metric == late.name)
            #expect([.nameTaken, .differentType].contains(error?.code))
            #expect(registry.text() == before)
        }
    }

    @Test(arguments: ["x_count", "x_sum", "x_bucket"])
    func `the advice names the histogram that a name clashes with`(name: String) throws {
        let registry = Registry.bare
        try registry.register(histogram: "x", help: "X.").observe(1)
        for definition in [Definition.gauge(name), .histogram(name), .callback(name)] {
            let error = #expect(throws: RegistrationError.self) {
                try definition.register(in: registry)
            }
            #expect(error?.code == .nameTaken)
            #expect(error?.advice.contains(" x;") == true, "\(error?.advice ?? "")")
        }
    }

    @Test func `the advice names a clashing sample that is already registered`() throws {
        let registry = Registry.bare
        try registry.register(gauge: "x_count", help: "X.").set(1)
        let error = #expect(throws: RegistrationError.self) {
            try registry.register(histogram: "x", help: "X.")
        }
        #expect(error?.code == .nameTaken)
        #expect(error?.advice.contains("x_count") == true, "\(error?.advice ?? "")")
    }

    @Test func `a clash with a non-throwing call returns a working instrument that is not exposed`()
    {
        let registry = Registry(log: .silent)
        registry.histogram("x", help: "X.").observe(1)
        let gauge = registry.gauge("x_count", help: "X.")
        gauge.set(99)
        #expect(gauge.value == 99)
        #expect(registry.sample("x_count") == "1")
        #expect(registry.registrationsRefused(.nameTaken) == "1")
    }

    @Test(
        arguments: [
            (.histogram("x"), .gauge("x_counts")), (.histogram("x"), .gauge("x_max")),
            (.histogram("x"), .histogram("xx")), (.gauge("x"), .gauge("x_count")),
            (.counter("a"), .counter("a_b")), (.counter("orders"), .gauge("orders_open")),
            (.gauge("a_total_b"), .counter("a")), (.gauge("X"), .gauge("x")),
        ] as [(Definition, Definition)])
    func `names that are merely similar are accepted`(
        first: Definition, second: Definition
    ) throws {
        for (early, late) in [(first, second), (second, first)] {
            let registry = Registry.bare
            try early.register(in: registry)
            try late.register(in: registry)
        }
    }

    @Test func `unregistering a family frees the names that clashed with it`() throws {
        let registry = Registry.bare
        try registry.register(histogram: "x", help: "X.").observe(1)
        #expect(registry.unregister("x"))
        try registry.register(gauge: "x_count", help: "X.").set(1)
        #expect(registry.text() == "# HELP x_count X.\n# TYPE x_count gauge\nx_count 1\n")
    }

    @Test func `a collector's families are accepted together or not at all`() throws {
        let registry = Registry.bare
        try registry.register(gauge: "b", help: "B.").set(1)
        let families: [CollectedFamily] = ["a", "b", "c"].map { .gauge($0, help: "X.") }
        #expect(throws: RegistrationError.self) {
            try registry.register(
                TestCollector(families: families) { samples in
                    for family in families { samples.add(family, 2) }
                })
        }
        #expect(registry.text() == "# HELP b B.\n# TYPE b gauge\nb 1\n")
        try registry.register(gauge: "a", help: "A.").set(1)
    }

    @Test func `a collector that declares a family twice is refused`() {
        let family = CollectedFamily.gauge("a", help: "A.")
        let error = #expect(throws: RegistrationError.self) {
            try Registry.bare.register(
                TestCollector(families: [family, family]) { $0.add(family, 1) })
        }
        #expect(error?.code == .nameTaken)
    }
}
