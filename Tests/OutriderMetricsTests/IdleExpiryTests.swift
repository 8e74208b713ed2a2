// SPDX-License-Identifier: Apache-2.0
// A series that does not change is forgotten by scrapes, and comes back from zero.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct IdleExpiryTests {
    private let clock = ManualClock(secondsSinceEpoch: 1_000)
    private let registry: Registry

    init() {
        registry = Registry(reportsItself: false, log: .silent, clock: clock)
    }

    private let limit = SeriesLimit(count: 3, idleTime: .seconds(60))

    private func counter() -> Family<Counter> {
        registry.counter("hits", help: "", labels: ["n"], limit: limit)
    }

    /// What a scrape shows of the family `hits`, without what announces it.
    private func scrape() -> [String] {
        registry.openMetricsText(creationTimes: true).split(separator: "\n").map(String.init)
            .filter { !$0.hasPrefix("#") }
    }

    private func waitAndScrape(_ duration: Duration = .seconds(60)) -> [String] {
        clock.advance(by: duration)
        return scrape()
    }

    @Test func `a counter that does not change for the idle time is removed`() {
        let hits = counter()
        hits.with("a").increment()
        #expect(scrape() == [#"hits_total{n="a"} 1"#, #"hits_created{n="a"} 1000"#])
        #expect(waitAndScrape(.seconds(59)).count == 2)
        #expect(waitAndScrape(.seconds(1)) == [])
        #expect(hits.count == 0)
    }

    @Test func `without scrapes nothing expires`() {
        counter().with("a").increment()
        clock.advance(by: .seconds(1_000))
        #expect(scrape() == [#"hits_total{n="a"} 1"#, #"hits_created{n="a"} 1000"#])
    }

    @Test func `a change starts the idle time anew, at the scrape that sees it`() {
        let hits = counter()
        hits.with("a").increment()
        _ = scrape()
        clock.advance(by: .seconds(50))
        hits.with("a").increment(by: 0.5)
        #expect(waitAndScrape(.seconds(50)).first == #"hits_total{n="a"} 1.5"#)
        #expect(waitAndScrape(.seconds(59)).first == #"hits_total{n="a"} 1.5"#)
        #expect(waitAndScrape(.seconds(1)) == [])
    }

    @Test func `scrapes of many make nothing expire sooner`() {
        counter().with("a").increment()
        for _ in 0..<60 {
            #expect(scrape().count == 2)
            #expect(registry.text().contains("hits_total"))
            clock.advance(by: .seconds(1))
        }
        #expect(scrape() == [])
    }

    @Test func `a removed series comes back from zero with a new creation time`() {
        let hits = counter()
        hits.with("a").increment(by: 7)
        _ = scrape()
        #expect(waitAndScrape() == [])
        clock.advance(by: .seconds(5))
        hits.with("a").increment()
        #expect(scrape() == [#"hits_total{n="a"} 1"#, #"hits_created{n="a"} 1065"#])
    }

    @Test func `a series whose instrument is held is hidden, and comes back from zero too`() {
        let hits = counter()
        let kept = hits.with("a")
        kept.increment(by: 7)
        kept.increment(by: 0.25)
        _ = scrape()
        #expect(waitAndScrape() == [])
        #expect(hits.count == 1)
        #expect(kept.value == 0)
        #expect(waitAndScrape(.seconds(5)) == [])
        kept.increment()
        #expect(hits.with("a") === kept)
        #expect(scrape() == [#"hits_total{n="a"} 1"#, #"hits_created{n="a"} 1060"#])
        // And once more, as any other.
        #expect(waitAndScrape(.seconds(59)).count == 2)
        #expect(waitAndScrape(.seconds(1)) == [])
        kept.increment(by: 0.5)
        #expect(scrape() == [#"hits_total{n="a"} 0.5"#, #"hits_created{n="a"} 1125"#])
    }

    @Test func `a hidden series goes for good when its instrument is let go`() {
        let hits = counter()
        do {
            let kept = hits.with("a")
            kept.increment()
            _ = scrape()
            _ = waitAndScrape()
            #expect(hits.count == 1)
            withExtendedLifetime(kept) {}
        }
        _ = scrape()
        #expect(hits.count == 0)
    }

    @Test func `what was recorded before the instrument was let go is shown`() {
        let hits = counter()
        do {
            let kept = hits.with("a")
            kept.increment()
            _ = scrape()
            _ = waitAndScrape()
            kept.increment(by: 3)
        }
        #expect(scrape().first == #"hits_total{n="a"} 3"#)
        #expect(waitAndScrape() == [])
        #expect(hits.count == 0)
    }

    @Test func `an idle series that nobody holds makes room under the limit`() {
        let hits = counter()
        for n in 0..<3 { hits.with("\(n)").increment() }
        _ = scrape()
        clock.advance(by: .seconds(60))
        hits.with("1").increment()
        hits.with("3").increment()
        #expect(
            scrape().filter { $0.hasPrefix("hits_total") } == [
                #"hits_total{n="1"} 2"#, #"hits_total{n="_OVERFLOW"} 1"#,
            ])
        for n in 4..<6 { hits.with("\(n)").increment() }
        #expect(registry.sample(#"hits_total{n="5"}"#) == "1")
        #expect(waitAndScrape().count == 0)
        #expect(hits.count == 0)
    }

    @Test func `a histogram expires with its buckets and its sum`() {
        let waits = registry.histogram(
            "wait", help: "", labels: ["n"], buckets: [1, 2], limit: limit)
        let kept = waits.with("kept")
        for value in [0.5, 1.5, 10] {
            kept.observe(value)
            waits.with("let go").observe(value)
        }
        #expect(scrape().count == 12)
        #expect(waitAndScrape() == [])
        #expect(kept.count == 0 && kept.sum == 0)
        kept.observe(1.5)
        #expect(
            scrape() == [
                #"wait_bucket{n="kept",le="1.0"} 0"#, #"wait_bucket{n="kept",le="2.0"} 1"#,
                #"wait_bucket{n="kept",le="+Inf"} 1"#, #"wait_sum{n="kept"} 1.5"#,
                #"wait_count{n="kept"} 1"#, #"wait_created{n="kept"} 1060"#,
            ])
    }

    @Test func `observations of zero keep a histogram from being idle`() {
        let waits = registry.histogram("wait", help: "", labels: ["n"], buckets: [1], limit: limit)
        waits.with("a").observe(0)
        for _ in 0..<5 {
            #expect(waitAndScrape(.seconds(40)).count == 5)
            waits.with("a").observe(0)
        }
    }

    @Test func `gauges do not expire`() {
        let gauge = registry.gauge("g", help: "", labels: ["n"], limit: limit)
        gauge.with("a").set(5)
        _ = scrape()
        #expect(waitAndScrape(.seconds(100_000)) == [#"g{n="a"} 5"#])
    }

    @Test func `a family without an idle time keeps what it has`() {
        registry.counter("hits", help: "", labels: ["n"]).with("a").increment()
        _ = scrape()
        #expect(waitAndScrape(.seconds(1_000_000)).count == 2)
    }

    @Test func `an exemplar does not outlive the numbers that it is an example of`() {
        let hits = counter()
        let waits = registry.histogram("wait", help: "", labels: ["n"], buckets: [1], limit: limit)
        let (hit, wait) = (hits.with("a"), waits.with("a"))
        hit.increment(exemplar: .trace("old"))
        wait.observe(0.5, exemplar: .trace("old"))
        #expect(scrape().count { $0.contains("old") } == 2)
        _ = waitAndScrape()
        hit.increment()
        wait.observe(0.5)
        let back = scrape()
        #expect(back.contains(#"hits_total{n="a"} 1"#))
        #expect(back.allSatisfy { !$0.contains("old") })
        hit.increment(exemplar: .trace("new"))
        #expect(scrape().contains { $0.contains("new") })
    }

    @Test func `a wall clock that is set back gives a later creation time all the same`() {
        let kept = counter().with("a")
        kept.increment()
        _ = scrape()
        clock.advance(by: .seconds(60))
        clock.secondsSinceEpoch = 500
        #expect(scrape() == [])
        kept.increment()
        #expect(scrape() == [#"hits_total{n="a"} 1"#, #"hits_created{n="a"} 1000.0625"#])
    }

    @Test func `no idle time at all means one scrape without a change`() {
        let hits = registry.counter(
            "hits", help: "", labels: ["n"], limit: SeriesLimit(idleTime: .seconds(-5)))
        hits.with("a").increment()
        #expect(scrape().count == 2)
        #expect(scrape() == [])
    }

    @Test func `hidden and removed series survive a rebuild of the table as they are`() {
        let hits = registry.counter(
            "hits", help: "", labels: ["n"], limit: SeriesLimit(idleTime: .seconds(60)))
        let kept = (0..<10).map { hits.with("kept\($0)") }
        for n in 0..<200 { hits.with("\(n)").increment() }
        for counter in kept { counter.increment() }
        #expect(scrape().count == 420)
        #expect(waitAndScrape() == [])
        #expect(hits.count == 10)
        kept[3].increment()
        #expect(scrape() == [#"hits_total{n="kept3"} 1"#, #"hits_created{n="kept3"} 1060"#])
        hits.remove("kept4")
        kept[4].increment()
        #expect(scrape().count == 2)
    }

    @Test func `a scrape of other families alone makes nothing expire`() {
        let hits = counter()
        hits.with("a").increment()
        _ = scrape()
        clock.advance(by: .seconds(60))
        _ = registry.respond(names: ["something_else"])
        #expect(hits.count == 1)
        _ = registry.respond(names: ["hits_total"])
        #expect(hits.count == 0)
    }

    @Test func `a scrape that begins with too little room forgets idle series once`() {
        let hits = registry.counter(
            "hits", help: "", labels: ["n"], limit: SeriesLimit(idleTime: .zero))
        hits.with("a").increment()
        #expect(registry.text(capacity: 1).contains("hits_total"))
        #expect(!registry.text(capacity: 1).contains("hits_total"))
    }
}
