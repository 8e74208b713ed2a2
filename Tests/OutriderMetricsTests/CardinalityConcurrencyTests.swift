// SPDX-License-Identifier: Apache-2.0
// Tests of concurrent creation beyond the series limit and of expiring series: no increment is
// lost, and every limit holds.

import OutriderMetrics
import OutriderTesting
import OutriderThreading
import TestSupport
import Testing

/// A clock that advances one second at each scrape, without a lock.
private final class ScrapeClock: MetricClock {
    private let seconds = Tally()

    var uptime: Duration { .seconds(seconds.count) }
    var secondsSinceEpoch: Double { 1_700_000_000 + Double(seconds.count) }

    func tick() { seconds.add() }
}

@Suite struct CardinalityConcurrencyTests {
    /// The samples in a text, by name and labels.
    private static func samples(_ text: String) -> [Substring: Double] {
        var samples: [Substring: Double] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            guard let blank = line.lastIndex(of: " ") else { continue }
            samples[line[..<blank]] = Double(line[line.index(after: blank)...])
        }
        return samples
    }

    @Test func `no scrape has more series than the limit, and every increment is counted`() async {
        let registry = Registry(log: .silent)
        let hits = registry.counter(
            "hits", help: "", labels: ["n"], limit: SeriesLimit(count: 100))
        await scraping(
            {
                let count = Self.samples(registry.text()).keys.count { $0.hasPrefix("hits") }
                #expect(count <= 101)
                #expect(hits.count <= 101)
            },
            during: (0..<4).map { task -> @Sendable () async -> Void in
                {
                    for n in 0..<5_000 {
                        hits.with("\(task).\(n)").increment()
                        if n % 100 == 0 { await Task.yield() }
                    }
                }
            })
        let samples = Self.samples(registry.text())
        let total = samples.filter { $0.key.hasPrefix("hits") }.values.reduce(0, +)
        #expect(total == 20_000)
        #expect(hits.count == 101)
        #expect(samples[#"outrider_series_overflowed_total{family="hits_total"}"#] == 19_900)
    }

    @Test func `the limit holds while other tasks remove series`() async {
        let registry = Registry.bare
        let hits = registry.counter("hits", help: "", labels: ["n"], limit: .init(count: 50))
        await scraping(
            { #expect(hits.count <= 51) },
            during: (0..<3).map { task -> @Sendable () async -> Void in
                {
                    for n in 0..<5_000 {
                        hits.with("\(n % 80)").increment()
                        if n % 3 == task { hits.remove("\((n + task * 20) % 80)") }
                        if n % 1_000 == 0 { hits.remove("_OVERFLOW") }
                        if n % 100 == 0 { await Task.yield() }
                    }
                }
            })
    }

    /// The increase of each sample, as a server that scrapes repeatedly computes it.
    ///
    /// A sample that was absent continues from its last value, as in PromQL, unless a new creation
    /// time says that it started from zero: a series that expires while a caller holds it continues,
    /// another one starts again.
    private final class Increase: Sendable {
        private struct State: Sendable {
            var last: [String: Double] = [:]
            var total: [String: Double] = [:]
        }

        private let state = Guarded(State())

        /// Scrapes, and adds the increase of each sample.
        func add(_ scrape: () -> String) {
            // Scraping and adding are one step, as for a single scraper.
            state.withLock { state in
                let samples = CardinalityConcurrencyTests.samples(scrape())
                var now = state.last
                for (name, value) in samples {
                    let name = String(name)
                    let created = "hits_created\(name.dropFirst("hits_total".count))"
                    let isNew =
                        name.hasPrefix("hits_total")
                        && samples[Substring(created)] != state.last[created]
                    let before = isNew ? 0 : state.last[name] ?? 0
                    state.total[name, default: 0] += value < before ? value : value - before
                    now[name] = value
                }
                state.last = now
            }
        }

        func total(of name: String) -> Double { state.withLock { $0.total[name] ?? 0 } }
    }

    @Test func `no increment of a held counter is lost when it expires repeatedly`() async {
        let clock = ScrapeClock()
        let registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        let hits = registry.counter(
            "hits", help: "", labels: ["n"], limit: SeriesLimit(idleTime: .seconds(1)))
        let kept = (0..<4).map { hits.with("\($0)") }
        let increase = Increase()
        let scrapes = Tally()
        await scraping(
            {
                clock.tick()
                increase.add { registry.text() }
                scrapes.add()
            },
            during: (0..<4).map { task -> @Sendable () async -> Void in
                {
                    for n in 0..<4_000 {
                        kept[task].increment()
                        kept[(task + 1) % 4].increment(by: 0.5)
                        guard n % 40 == 0 else { continue }
                        // Pauses for a few scrapes, so that the series expires now and then.
                        let until = scrapes.count + 3
                        _ = try? await holdsEventually { scrapes.count >= until }
                    }
                }
            })
        increase.add { registry.text() }
        for n in 0..<4 { #expect(increase.total(of: "hits_total{n=\"\(n)\"}") == 6_000) }
    }

    @Test func `no observation of a held histogram is lost when it expires, in sums and buckets`()
        async
    {
        let clock = ScrapeClock()
        let registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        let waits = registry.histogram(
            "wait", help: "", labels: ["n"], buckets: [1, 2],
            limit: SeriesLimit(idleTime: .seconds(1)))
        let kept = waits.with("a")
        let increase = Increase()
        await scraping(
            {
                clock.tick()
                increase.add { registry.text() }
            },
            during: (0..<2).map { task -> @Sendable () async -> Void in
                {
                    for n in 0..<5_000 {
                        kept.observe(task == 0 ? 0.5 : 1.5, exemplar: .trace("\(n)"))
                        if n % 3 == 0 { await Task.yield() }
                    }
                }
            })
        increase.add { registry.text() }
        #expect(increase.total(of: #"wait_count{n="a"}"#) == 10_000)
        #expect(increase.total(of: #"wait_bucket{n="a",le="1.0"}"#) == 5_000)
        #expect(increase.total(of: #"wait_sum{n="a"}"#) == 10_000)
    }

    @Test func `no increment is lost when series are looked up each time and expire`() async {
        let clock = ScrapeClock()
        let registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        let hits = registry.counter(
            "hits", help: "", labels: ["n"], limit: SeriesLimit(count: 6, idleTime: .seconds(1)))
        let increase = Increase()
        await scraping(
            {
                clock.tick()
                increase.add { registry.openMetricsText(creationTimes: true) }
            },
            during: (0..<3).map { task -> @Sendable () async -> Void in
                {
                    for n in 0..<4_000 {
                        hits.with("\((n / 50 + task) % 9)").increment()
                        if n % 10 == 0 { await Task.yield() }
                    }
                }
            })
        increase.add { registry.openMetricsText(creationTimes: true) }
        let names = (0..<9).map(String.init) + ["_OVERFLOW"]
        let total = names.map { increase.total(of: "hits_total{n=\"\($0)\"}") }.reduce(0, +)
        #expect(total == 12_000)
    }

    @Test func `concurrent scrapes never show part of a series that is hidden and shown again`()
        async
    {
        let clock = ScrapeClock()
        let registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
        let waits = registry.histogram(
            "wait", help: "", labels: ["n"], buckets: [1, 2],
            limit: SeriesLimit(idleTime: .seconds(5)))
        let kept = waits.with("a")
        // Odd while nothing is recorded. Time advances only then, so no series expires within a
        // batch.
        let turn = Tally()
        let (whole, hidden) = (Tally(), Tally())
        await scraping(
            {
                let before = turn.count
                if before % 2 == 1 { clock.tick() }
                let samples = Self.samples(registry.text())
                guard before % 2 == 1, turn.count == before else { return }
                guard let count = samples[#"wait_count{n="a"}"#] else {
                    hidden.add()
                    return
                }
                whole.add()
                #expect(count.remainder(dividingBy: 20) == 0 && count > 0)
                #expect(samples[#"wait_bucket{n="a",le="1.0"}"#] == count / 2)
                #expect(samples[#"wait_sum{n="a"}"#] == count)
            }, scrapers: 2,
            during: [
                {
                    for _ in 0..<200 {
                        for _ in 0..<10 {
                            kept.observe(0.5)
                            kept.observe(1.5)
                        }
                        let seen = hidden.count
                        turn.add()
                        _ = try? await holdsEventually { hidden.count >= seen + 2 }
                        turn.add()
                    }
                }
            ])
        #expect(whole.count > 0 && hidden.count > 0)
    }
}
