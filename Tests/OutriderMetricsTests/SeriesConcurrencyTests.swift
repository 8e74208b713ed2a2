// SPDX-License-Identifier: Apache-2.0
// Tests of concurrent creation, removal and scraping: no scrape shows a series twice or a wrong
// value.

import OutriderMetrics
import Testing

@Suite struct SeriesConcurrencyTests {
    /// Scrapes `registry` until all `tasks` have finished, and passes each text to `look`.
    private func scrape(
        _ registry: Registry, _ look: @escaping @Sendable (String) -> Void,
        during tasks: [@Sendable () async -> Void]
    ) async {
        await scraping({ look(registry.text()) }, during: tasks)
    }

    /// The names of the samples in a text, labels included.
    private static func series(in text: String) -> [Substring] {
        text.split(separator: "\n").filter { !$0.hasPrefix("#") }
            .map { $0[..<($0.lastIndex(of: " ") ?? $0.endIndex)] }
    }

    @Test func `the same labels requested from many threads are one series`() async {
        for _ in 0..<20 {
            let registry = Registry.bare
            let family = registry.counter("c", help: "C.", labels: ["n"])
            await withTaskGroup { group in
                for _ in 0..<4 {
                    group.addTask { for n in 0..<100 { family.with("\(n)").increment() } }
                }
            }
            let expected = (0..<100).map { "c_total{n=\"\($0)\"} 4" }.sorted()
            #expect(
                registry.text().split(separator: "\n").dropFirst(2).sorted()
                    == expected.map { $0[...] })
        }
    }

    @Test func `series created and removed from many threads are never shown twice`() async {
        let registry = Registry.bare
        let family = registry.gauge("g", help: "G.", labels: ["n"])
        for n in 0..<900 { family.with("\(n)").set(1) }
        family.with("stays").set(1)
        let churn = (0..<3).map { task -> @Sendable () async -> Void in
            {
                // Each series is removed and created again as the newest, repeatedly.
                for turn in 0..<3_000 {
                    let n = "\((turn * 3 + task) % 900)"
                    family.remove(n)
                    family.with(n).set(1)
                    if turn % 50 == 0 { await Task.yield() }
                }
            }
        }
        let known = Set(((0..<900).map(String.init) + ["stays"]).map { "g{n=\"\($0)\"}" })
        await scrape(
            registry,
            { text in
                let series = Self.series(in: text)
                let areDistinct = Set(series).count == series.count
                #expect(areDistinct)
                let areKnown = series.allSatisfy { known.contains(String($0)) }
                #expect(areKnown)
                #expect(series.contains(#"g{n="stays"}"#))
            }, during: churn)
        #expect(family.count == 901)
    }

    @Test func `an info that changes is never shown with two sets of values`() async {
        let registry = Registry.bare
        let info = registry.info("leader", help: "Who leads.", ["node": "0"])
        await scrape(
            registry,
            { text in
                let count = Self.series(in: text).count
                #expect(count <= 1)
            },
            during: (0..<2).map { task -> @Sendable () async -> Void in
                {
                    for turn in 0..<1_000 {
                        info.set(["node": "\(task).\(turn)"])
                        if turn % 50 == 0 { await Task.yield() }
                    }
                }
            })
        #expect(Self.series(in: registry.text()).count == 1)
    }

    @Test func `held instruments of removed series never write to reused cells or are exposed`()
        async
    {
        let registry = Registry.bare
        let family = registry.counter("c", help: "C.", labels: ["n"])
        let kept = (0..<8).map { family.with("kept\($0)") }
        for n in 0..<8 { family.remove("kept\(n)") }
        await scrape(
            registry,
            { text in
                let areSmall = text.split(separator: "\n").dropFirst(2)
                    .allSatisfy { $0.hasSuffix(" 1") || $0.hasSuffix(" 0") }
                #expect(areSmall)
                #expect(!text.contains("kept"))
            },
            during: [
                {
                    for turn in 0..<10_000 {
                        kept[turn % 8].increment(by: 1_000)
                        if turn % 500 == 0 { await Task.yield() }
                    }
                },
                {
                    for n in 0..<3_000 {
                        family.with("\(n)").increment()
                        if n >= 20 { family.remove("\(n - 20)") }
                        if n % 100 == 0 { await Task.yield() }
                    }
                },
            ])
        #expect(family.count == 20)
        #expect(kept.map(\.value) == Array(repeating: 1_250_000, count: 8))
    }

    @Test func `series released from many threads leave their cells zeroed`() async {
        let family = Registry.bare.histogram("h", help: "H.", labels: ["n"], buckets: [1, 2])
        await withTaskGroup { group in
            for task in 0..<4 {
                group.addTask {
                    for n in 0..<1_000 {
                        let child = family.with("\(task).\(n)")
                        #expect(child.count == 0 && child.sum == 0)
                        child.observe(1.5)
                        family.remove("\(task).\(n)")
                        if n % 100 == 0 { await Task.yield() }
                    }
                }
            }
        }
        #expect(family.count == 0)
    }

    @Test func `removing by match during creation removes only matching series`() async {
        let registry = Registry.bare
        let family = registry.counter("c", help: "C.", labels: ["kind", "n"])
        await withTaskGroup { group in
            for task in 0..<3 {
                group.addTask {
                    for n in 0..<300 {
                        family.with("stays", "\(task).\(n)").increment()
                        family.with("goes", "\(task).\(n)").increment()
                    }
                }
            }
            group.addTask {
                for _ in 0..<30 {
                    family.removeAll(matching: ["kind": "goes"])
                    await Task.yield()
                }
            }
        }
        family.removeAll(matching: ["kind": "goes"])
        #expect(family.count == 900)
        #expect(Self.series(in: registry.text()).allSatisfy { $0.contains("stays") })
    }
}
