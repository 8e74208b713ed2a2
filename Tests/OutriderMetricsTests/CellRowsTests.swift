// SPDX-License-Identifier: Apache-2.0
// Tests of per-CPU rows: a frequently updated series has a copy of its cells for each CPU; others
// do not.

import CoreMetrics
import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct CellRowsTests {
    /// Enough additions for a series to be sampled twice, which gives it rows.
    static let many = 80_000

    private func registry(_ rows: CellRows?, _ clock: ManualClock = ManualClock()) -> Registry {
        Registry(hasOwnMetrics: false, log: .silent, clock: clock, rows: rows)
    }

    private func heat(_ counter: OutriderMetrics.Counter) {
        for _ in 0..<Self.many { counter.increment() }
    }

    @Test func `a frequently updated counter gets rows and keeps counting`() {
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

    @Test func `a frequently updated histogram keeps its buckets and its sum`() {
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

    @Test func `ten thousand rarely updated series use no rows for 64 CPUs`() {
        let rows = CellRows(cpus: 64)
        let family = registry(rows).counter("c", help: "C.", labels: ["n"])
        for number in 0..<10_000 {
            let counter = family.with("\(number)")
            for _ in 0..<100 { counter.increment() }
        }
        #expect(rows.mappedPages == 0)
    }

    @Test func `a series with many updates over days uses no rows`() {
        let (rows, clock) = (CellRows(cpus: 64), ManualClock())
        let counter = registry(rows, clock).counter("c", help: "C.")
        for _ in 0..<Self.many {
            counter.increment()
            clock.advance(by: .seconds(1))
        }
        #expect(rows.mappedPages == 0)
    }

    @Test func `rows for 64 CPUs use memory only for CPUs that have counted`() throws {
        let rows = CellRows(cpus: 64)
        let counter = registry(rows).counter("c", help: "C.")
        heat(counter)
        // The shared page, the bookkeeping page, and one page for each CPU of this machine.
        let resident = try #require(rows.residentPages)
        #expect(resident >= 1)
        #expect(resident <= 2 + Machine.cpus)
    }

    /// Histograms so wide that two fit into a group.
    private func wide(_ rows: CellRows) -> Family<Histogram> {
        registry(rows).histogram(
            "h", help: "H.", labels: ["n"], buckets: .linear(start: 1, width: 1, count: 200))
    }

    @Test func `rows have a total limit, beyond which series count in their cells alone`() {
        let rows = CellRows(cpus: 2, groupLimit: 1)
        let family = wide(rows)
        let histograms = (0..<4).map { family.with("\($0)") }
        for histogram in histograms { for _ in 0..<Self.many { histogram.observe(1) } }
        #expect(rows.mappedPages == 4)
        #expect(histograms.allSatisfy { $0.count == Self.many && $0.sum == Double(Self.many) })
    }

    @Test func `rows are zero again for the next series that uses them`() {
        let rows = CellRows(cpus: 2, groupLimit: 1)
        let family = wide(rows)
        // More than fit at once.
        for number in 0..<6 {
            let histogram = family.with("\(number)")
            for _ in 0..<Self.many { histogram.observe(1) }
            #expect(histogram.count == Self.many)
            family.removeAll()
        }
        #expect(rows.mappedPages == 4)
    }

    @Test func `a frequently updated series that is held is hidden once it is idle`() {
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

    @Test func `a reset removes a large sum completely, and rows are reused`() {
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
            // By then the rows have been idle long enough to be reused.
            clock.advance(by: .seconds(61))
        }
    }

    @Test func `removed series return their rows after a reset`() {
        let rows = CellRows(cpus: 2)
        let registry = registry(rows)
        let factory = OutriderMetricsFactory(registry: registry)
        // More than fit at once: a group has rows for 256 counters.
        for number in 0..<270 {
            let counter = CoreMetrics.Counter(
                label: "c", dimensions: [("n", "\(number)")], factory: factory)
            for _ in 0..<Self.many { counter.increment() }
            counter.reset()
            counter.destroy()
        }
        #expect(rows.mappedPages == 4)
    }

    @Test func `a repeated pattern of amounts is sampled as often as any other`() {
        // Powers of two, since bytes are often counted in such steps.
        for step in [1, 64, 1_500, 4_096, 65_536] {
            let rows = CellRows(cpus: 2)
            let counter = registry(rows).counter("c", help: "C.")
            for _ in 0..<Self.many { counter.increment(by: step) }
            #expect(rows.mappedPages == 4, "step \(step)")
            #expect(counter.value == Double(Self.many * step))
        }
    }
}
