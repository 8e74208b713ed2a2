// SPDX-License-Identifier: Apache-2.0
// Tests of concurrent registration: one definition wins, and every caller gets a working
// instrument.

import OutriderMetrics
import Testing

@Suite struct RegistrationConcurrencyTests {
    private static let tasks = 8

    @Test func `one definition registered by many threads is one family`() async {
        for _ in 0..<50 {
            let registry = Registry.bare
            await withTaskGroup { group in
                for task in 0..<Self.tasks {
                    group.addTask {
                        registry.counter("c", help: "C.").increment()
                        let labels = task % 2 == 0 ? ["a", "b"] : ["b", "a"]
                        registry.gauge("g", help: "G.", labels: labels)
                            .with(["a": "1", "b": "2"]).increment()
                        registry.histogram("h", help: "H.", buckets: [1]).observe(0.5)
                        registry.info("i", help: "I.", ["v": "1"])
                    }
                }
            }
            #expect(
                registry.text() == """
                    # HELP c_total C.
                    # TYPE c_total counter
                    c_total 8
                    # HELP g G.
                    # TYPE g gauge
                    g{a="1",b="2"} 8
                    # HELP h H.
                    # TYPE h histogram
                    h_bucket{le="1.0"} 8
                    h_bucket{le="+Inf"} 8
                    h_sum 4
                    h_count 8
                    # HELP i_info I.
                    # TYPE i_info gauge
                    i_info{v="1"} 1

                    """)
        }
    }

    @Test func `one of several conflicting definitions wins, and every caller's instrument works`()
        async
    {
        for _ in 0..<50 {
            let registry = Registry(log: .silent)
            let works = await withTaskGroup(of: Bool.self) { group in
                for task in 0..<Self.tasks {
                    group.addTask { Self.useConflicting(registry, task) }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(works == Array(repeating: true, count: Self.tasks))
            let lines = registry.text().split(separator: "\n").filter { !$0.contains("outrider_") }
            #expect(lines.count { $0.hasPrefix("# TYPE x") } == 1)
            let codes: [RegistrationError.Code] = [
                .differentType, .differentHelp, .differentLabels, .differentBuckets, .nameTaken,
            ]
            let refused = codes.compactMap { registry.registrationsRefused($0).flatMap(Int.init) }
            // Two tasks use each definition, and equal definitions do not conflict.
            #expect(refused.reduce(0, +) == Self.tasks - 2)
        }
    }

    /// Registers `x` in one of four ways; returns whether the instrument works.
    private static func useConflicting(_ registry: Registry, _ task: Int) -> Bool {
        switch task % 4 {
        case 0:
            let gauge = registry.gauge("x", help: "X.")
            gauge.set(5)
            return gauge.value == 5
        case 1:
            let counter = registry.counter("x_total", help: "X.")
            counter.increment(by: 5)
            return counter.value >= 5
        case 2:
            let histogram = registry.histogram("x", help: "X.", labels: ["a"]).with("1")
            histogram.observe(5)
            return histogram.count >= 1
        default:
            let gauge = registry.gauge("x", help: "Another X.")
            gauge.set(5)
            return gauge.value == 5
        }
    }

    @Test func `scrapes see complete families while others are registered and unregistered`() async
    {
        let registry = Registry.bare
        await withTaskGroup { group in
            for task in 0..<3 {
                group.addTask {
                    for number in 0..<150 {
                        registry.counter("c\(number)", help: "C.").increment()
                        registry.gauge("g\(task)_\(number)", help: "G.") { 1 }
                        if number >= 10 { registry.unregister("g\(task)_\(number - 10)") }
                        await Task.yield()
                    }
                }
            }
            group.addTask {
                for _ in 0..<60 {
                    let lines = registry.text().split(separator: "\n")
                    #expect(lines.count % 3 == 0)
                    for start in stride(from: 0, to: lines.count, by: 3) {
                        let name = lines[start].split(separator: " ")[2]
                        #expect(lines[start].hasPrefix("# HELP "))
                        #expect(lines[start + 1].hasPrefix("# TYPE \(name) "))
                        #expect(lines[start + 2].hasPrefix("\(name) "))
                    }
                    await Task.yield()
                }
            }
        }
        let types = registry.text().split(separator: "\n").count { $0.hasPrefix("# TYPE ") }
        #expect(types == 180)
    }

    @Test func `callbacks that register do not block each other`() async {
        let registry = Registry.bare
        for number in 0..<4 {
            registry.gauge("callback\(number)", help: "C.") {
                registry.counter("common", help: "C.", labels: ["n"]).with("\(number)").increment()
                return 1
            }
        }
        await withTaskGroup { group in
            for _ in 0..<4 {
                group.addTask { for _ in 0..<25 { _ = registry.text() } }
            }
        }
        let counts = (0..<4).map { registry.sample(#"common_total{n="\#($0)"}"#) }
        // Each count is read by another scrape, after a hundred of them.
        #expect(counts == ["101", "102", "103", "104"])
    }
}
