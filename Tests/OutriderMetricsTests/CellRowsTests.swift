// SPDX-License-Identifier: Apache-2.0
// Series that are counted all the time have a copy of their numbers for each CPU; others do not.

import CoreMetrics
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct CellRowsTests {
    /// Additions after which a series has been seen twice, and is hot.
    static let many = 80_000

    private func registry(_ rows: CellRows?, _ clock: ManualClock = ManualClock()) -> Registry {
        Registry(reportsItself: false, log: .silent, clock: clock, rows: rows)
    }

    private func heat(_ counter: OutriderMetrics.Counter) {
        for _ in 0..<Self.many { counter.increment() }
    }

    @Test func `a series that is counted all the time is given rows, and counts on`() {
        let rows = CellRows(cpus: 64)
        let registry = registry(rows)
        let counter = registry.counter("c", help: "C.")
        #expect(rows.mappedPages == 0)
        heat(counter)
        #expect(rows.mappedPages == 66)
        heat(counter)
        counter.increment(by: 7)
        counter.increment(by: 0.25)
        #expect(counter.value == Double(2 * Self.many + 7) + 0.25)
        #expect(registry.sample("c_total") == "\(2 * Self.many + 7).25")
    }

    @Test func `a histogram that observes all the time keeps its buckets and its sum`() {
        let rows = CellRows(cpus: 64)
        let registry = registry(rows)
        let histogram = registry.histogram("h", help: "H.", buckets: [1, 2, 4])
        for turn in 0..<Self.many { histogram.observe(Double(turn % 5)) }
        #expect(rows.mappedPages == 66)
        for turn in 0..<Self.many { histogram.observe(Double(turn % 5)) }
        #expect(histogram.count == 2 * Self.many)
        #expect(histogram.sum == Double(4 * Self.many))
        #expect(registry.sample(#"h_bucket{le="1.0"}"#) == "\(Self.many * 4 / 5)")
        #expect(registry.sample(#"h_bucket{le="+Inf"}"#) == "\(2 * Self.many)")
        #expect(registry.sample("h_count") == "\(2 * Self.many)")
    }

    @Test func `ten thousand series that nobody counts all the time take no rows for 64 CPUs`() {
        let rows = CellRows(cpus: 64)
        let family = registry(rows).counter("c", help: "C.", labels: ["n"])
        for number in 0..<10_000 {
            let counter = family.with("\(number)")
            for _ in 0..<100 { counter.increment() }
        }
        #expect(rows.mappedPages == 0)
    }

    @Test func `a series that is counted often, but over days, takes no rows`() {
        let (rows, clock) = (CellRows(cpus: 64), ManualClock())
        let counter = registry(rows, clock).counter("c", help: "C.")
        for _ in 0..<Self.many {
            counter.increment()
            clock.advance(by: .seconds(1))
        }
        #expect(rows.mappedPages == 0)
    }

    @Test func `rows for 64 CPUs take memory for those CPUs alone that have counted`() throws {
        let rows = CellRows(cpus: 64)
        let counter = registry(rows).counter("c", help: "C.")
        heat(counter)
        // That which all share, that of the bookkeeping, and one for each CPU of this machine.
        let resident = try #require(rows.residentPages)
        #expect(resident >= 1)
        #expect(resident <= 2 + Machine.cpus)
    }

    /// Histograms of which two fit into a group.
    private func wide(_ rows: CellRows) -> Family<Histogram> {
        registry(rows).histogram(
            "h", help: "H.", labels: ["n"], buckets: .linear(start: 1, width: 1, count: 200))
    }

    @Test func `all rows together have a limit, past which series count in their cells alone`() {
        let rows = CellRows(cpus: 2, groupLimit: 1)
        let family = wide(rows)
        let histograms = (0..<4).map { family.with("\($0)") }
        for histogram in histograms { for _ in 0..<Self.many { histogram.observe(1) } }
        #expect(rows.mappedPages == 4)
        #expect(histograms.allSatisfy { $0.count == Self.many && $0.sum == Double(Self.many) })
    }

    @Test func `rows that are given back are zero for the next series`() {
        let rows = CellRows(cpus: 2, groupLimit: 1)
        let family = wide(rows)
        // More than fit at a time.
        for number in 0..<6 {
            let histogram = family.with("\(number)")
            for _ in 0..<Self.many { histogram.observe(1) }
            #expect(histogram.count == Self.many)
            family.removeAll()
        }
        #expect(rows.mappedPages == 4)
    }

    @Test func `a hot series that somebody holds is forgotten when it has been idle`() {
        let (rows, clock) = (CellRows(cpus: 2), ManualClock())
        let registry = registry(rows, clock)
        let limit = SeriesLimit(idleTime: .seconds(60))
        let histogram = registry.histogram(
            "h", help: "H.", labels: ["n"], buckets: [1], limit: limit
        ).with("1")
        for _ in 0..<Self.many { histogram.observe(0.1) }
        let line = #"h_count{n="1"}"#
        #expect(registry.sample(line) == "\(Self.many)")
        clock.advance(by: .seconds(61))
        #expect(registry.sample(line) == nil)
        histogram.observe(0.5)
        #expect(registry.sample(line) == "\(Self.many + 1)")
    }

    @Test func `a reset leaves nothing of a large sum, and rows are used again`() {
        let (rows, clock) = (CellRows(cpus: 2), ManualClock())
        let registry = registry(rows, clock)
        let counter = FloatingPointCounter(
            label: "c", factory: OutriderMetricsFactory(registry: registry))
        for _ in 0..<3 {
            for _ in 0..<Self.many { counter.increment(by: 0.5) }
            #expect(rows.mappedPages == 4)
            counter.increment(by: 1e17)
            counter.reset()
            #expect(registry.sample("c_total") == "0")
            for _ in 0..<Self.many { counter.increment(by: 0.25) }
            #expect(registry.sample("c_total") == "\(Self.many / 4)")
            counter.reset()
            counter.increment(by: 100)
            #expect(registry.sample("c_total") == "100")
            // The rows have rested by then.
            clock.advance(by: .seconds(61))
        }
    }

    @Test func `series that were reset give their rows back when they go`() {
        let rows = CellRows(cpus: 2)
        let registry = registry(rows)
        let factory = OutriderMetricsFactory(registry: registry)
        // More than fit at a time: a group has rows for 256 counters.
        for number in 0..<270 {
            let counter = CoreMetrics.Counter(
                label: "c", dimensions: [("n", "\(number)")], factory: factory)
            for _ in 0..<Self.many { counter.increment() }
            counter.reset()
            counter.destroy()
        }
        #expect(rows.mappedPages == 4)
    }

    @Test func `the same pattern of numbers is seen as often as any other`() {
        // Steps of a power of two, as bytes are often counted in.
        for step in [1, 64, 1_500, 4_096, 65_536] {
            let rows = CellRows(cpus: 2)
            let counter = registry(rows).counter("c", help: "C.")
            for _ in 0..<Self.many { counter.increment(by: step) }
            #expect(rows.mappedPages == 4, "step \(step)")
            #expect(counter.value == Double(Self.many * step))
        }
    }
}
