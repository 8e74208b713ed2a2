// SPDX-License-Identifier: Apache-2.0
// Tests of recording on many threads during scrapes: no update is lost, and every scrape is
// consistent.

import OutriderMetrics
import OutriderThreading
import Testing

@Suite struct RecordingConcurrencyTests {
    private static let writers = 4
    private static let turns = 5_000

    /// Runs `write` in each writer's task, and `read` in another one until the last writer has
    /// finished.
    private func run(
        write: @escaping @Sendable (_ writer: Int, _ turn: Int) -> Void,
        read: (@Sendable () -> Void)? = nil
    ) async {
        let working = Tally(Self.writers)
        await withTaskGroup { group in
            for writer in 0..<Self.writers {
                group.addTask {
                    for turn in 0..<Self.turns {
                        write(writer, turn)
                        if turn % 500 == 0 { await Task.yield() }
                    }
                    working.add(-1)
                }
            }
            guard let read else { return }
            while working.count > 0 {
                read()
                await Task.yield()
            }
            read()
        }
    }

    @Test func `whole increments from four threads are all counted`() async {
        let registry = Registry.bare
        let counter = registry.counter("c", help: "C.")
        await run { _, turn in turn % 2 == 0 ? counter.increment() : counter.increment(by: 3) }
        #expect(registry.sample("c_total") == "\(Self.writers * Self.turns * 2)")
    }

    @Test func `fractions from four threads are all counted`() async {
        let registry = Registry.bare
        let counter = registry.counter("c", help: "C.")
        await run { _, _ in counter.increment(by: 0.25) }
        #expect(counter.value == Double(Self.writers * Self.turns) / 4)
    }

    @Test func `gauge increments and decrements from four threads add up`() async {
        let gauge = Registry.bare.gauge("g", help: "G.")
        await run { writer, _ in
            writer % 2 == 0 ? gauge.increment(by: 2) : gauge.decrement()
        }
        #expect(gauge.value == Double(Self.writers * Self.turns / 2))
    }

    @Test func `a counter never decreases from one scrape to the next`() async {
        let registry = Registry.bare
        let counter = registry.counter("c", help: "C.")
        let last = Last(0.0)
        await run(
            write: { _, turn in turn % 2 == 0 ? counter.increment() : counter.increment(by: 0.5) },
            read: {
                let value = registry.sample("c_total").flatMap(Double.init) ?? -1
                #expect(value >= last.replace(with: value))
            })
        #expect(last.value == Double(Self.writers * Self.turns) * 0.75)
    }

    @Test func `a histogram is consistent in each scrape during writes, and exact at the end`()
        async
    {
        let registry = Registry.bare
        let histogram = registry.histogram(
            "h", help: "H.", labels: ["a"], buckets: [1, 2, 3, 4, 5, 6, 7])
        let child = histogram.with("1")
        let last = Last(Array(repeating: 0, count: 8))
        await run(
            write: { writer, turn in child.observe(Double((writer + turn) % 10)) },
            read: {
                let samples = Self.samples(in: registry.text())
                let buckets = samples.filter { $0.name.contains("le=") }.map { Int($0.value) ?? -1 }
                #expect(buckets.count == 8)
                #expect(buckets == buckets.sorted(), "cumulative")
                #expect(samples.last?.name == #"h_count{a="1"}"#)
                #expect(samples.last.map { Int($0.value) } == buckets.last, "+Inf is the count")
                let before = last.replace(with: buckets)
                #expect(zip(before, buckets).allSatisfy { $0 <= $1 }, "no bucket goes down")
            })
        let total = Self.writers * Self.turns
        #expect(last.value == (2...8).map { total / 10 * $0 } + [total])
        #expect(child.count == total)
        #expect(child.sum == Double(total) * 4.5)
    }

    @Test func `refusals from four threads are all counted`() async {
        let registry = Registry(log: .silent)
        let counter = registry.counter("c", help: "C.")
        await run { _, turn in counter.increment(by: turn % 10 == 0 ? -1 : 1) }
        #expect(registry.observationsRefused("negative") == "\(Self.writers * Self.turns / 10)")
    }

    @Test func `concurrent scrapes are all complete`() async {
        let registry = Registry.bare
        let family = registry.histogram("h", help: "H.", labels: ["a"], buckets: [1, 2])
        for number in 0..<100 { family.with("\(number)").observe(1.5) }
        registry.gauge("g", help: "G.") { 7 }
        let expected = registry.text()
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    (0..<20).allSatisfy { _ in registry.text() == expected }
                }
            }
            for await isSame in group { #expect(isSame) }
        }
    }

    @Test func `a log used by many threads keeps its limit`() async {
        let said = Tally()
        let now = ContinuousClock.now
        let log = DiagnosticLog(
            handler: { _, _ in said.add() }, now: { now })
        await run { writer, turn in
            if turn % 100 == 0 { log.report(.info, about: "subject \(writer % 2)", "again") }
        }
        #expect(said.count == 12)
    }

    /// The value seen by the previous scrape.
    private final class Last<Value: Sendable>: Sendable {
        private let seen: Guarded<Value>

        init(_ value: Value) {
            seen = Guarded(value)
        }

        var value: Value { seen.withLock { $0 } }

        func replace(with next: Value) -> Value {
            seen.withLock { seen in
                defer { seen = next }
                return seen
            }
        }
    }

    private static func samples(in text: String) -> [(name: Substring, value: Substring)] {
        text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            let space = line.lastIndex(of: " ") ?? line.startIndex
            return (line[..<space], line[space...].dropFirst())
        }
    }
}
