// SPDX-License-Identifier: Apache-2.0
// Tests of idle expiry: delivered scrapes remove series that do not change.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct IdleExpiryTests {
    private let clock = ManualClock(secondsSinceEpoch: 1_000)
    private let registry: Registry

    init() {
        registry = Registry(hasOwnMetrics: false, log: .silent, clock: clock)
    }

    private let limit = SeriesLimit(count: 3, idleTime: .seconds(60))

    private func counter() -> Family<Counter> {
        registry.counter("hits", help: "", labels: ["n"], limit: limit)
    }

    /// The samples of the family `hits` in a scrape, without comments.
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

    @Test func `series do not expire without scrapes`() {
        counter().with("a").increment()
        clock.advance(by: .seconds(1_000))
        #expect(scrape() == [#"hits_total{n="a"} 1"#, #"hits_created{n="a"} 1000"#])
    }

    @Test func `a change restarts the idle time, at the scrape that sees it`() {
        let hits = counter()
        hits.with("a").increment()
        _ = scrape()
        clock.advance(by: .seconds(50))
        hits.with("a").increment(by: 0.5)
        #expect(waitAndScrape(.seconds(50)).first == #"hits_total{n="a"} 1.5"#)
        #expect(waitAndScrape(.seconds(59)).first == #"hits_total{n="a"} 1.5"#)
        #expect(waitAndScrape(.seconds(1)) == [])
    }

    @Test func `scraping more often does not expire a series sooner`() {
        counter().with("a").increment()
        for _ in 0..<60 {
            #expect(scrape().count == 2)
            #expect(registry.text().contains("hits_total"))
            clock.advance(by: .seconds(1))
        }
        #expect(scrape() == [])
    }

    @Test func `a removed series returns from zero with a new creation time`() {
        let hits = counter()
        hits.with("a").increment(by: 7)
        _ = scrape()
        #expect(waitAndScrape() == [])
        clock.advance(by: .seconds(5))
        hits.with("a").increment()
        #expect(scrape() == [#"hits_total{n="a"} 1"#, #"hits_created{n="a"} 1065"#])
    }

    @Test func `a held series is hidden when idle, and returns with its count`() {
        let hits = counter()
        let kept = hits.with("a")
        kept.increment(by: 7)
        kept.increment(by: 0.25)
        _ = scrape()
        #expect(waitAndScrape() == [])
        #expect(hits.count == 1)
        #expect(kept.value == 7.25)
        #expect(waitAndScrape(.seconds(5)) == [])
        kept.increment()
        #expect(hits.with("a") === kept)
        #expect(scrape() == [#"hits_total{n="a"} 8.25"#, #"hits_created{n="a"} 1000"#])
        // And again, like any other series.
        #expect(waitAndScrape(.seconds(59)).count == 2)
        #expect(waitAndScrape(.seconds(1)) == [])
        kept.increment(by: 0.5)
        #expect(scrape() == [#"hits_total{n="a"} 8.75"#, #"hits_created{n="a"} 1000"#])
    }

    @Test func `a hidden series is removed when its instrument is released`() {
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

    @Test func `a value recorded before the instrument was released is shown`() {
        let hits = counter()
        do {
            let kept = hits.with("a")
            kept.increment()
            _ = scrape()
            _ = waitAndScrape()
            kept.increment(by: 3)
        }
        #expect(scrape().first == #"hits_total{n="a"} 4"#)
        #expect(waitAndScrape() == [])
        #expect(hits.count == 0)
    }

    @Test func `an idle series that is not held makes room under the limit`() {
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

    @Test(arguments: [false, true])
    func `a histogram expires with its buckets and its sum, native or not`(isNative: Bool) {
        let buckets: Buckets = [1, 2]
        let waits = registry.histogram(
            "wait", help: "", labels: ["n"],
            buckets: isNative ? buckets.adding(native: .init()) : buckets, limit: limit)
        let kept = waits.with("kept")
        for value in [0.5, 1.5, 10] {
            kept.observe(value)
            waits.with("let go").observe(value)
        }
        #expect(scrape().count == 12)
        #expect(waitAndScrape() == [])
        #expect(waits.count == 1)
        kept.observe(1.5)
        #expect(
            scrape() == [
                #"wait_bucket{n="kept",le="1.0"} 1"#, #"wait_bucket{n="kept",le="2.0"} 3"#,
                #"wait_bucket{n="kept",le="+Inf"} 4"#, #"wait_sum{n="kept"} 13.5"#,
                #"wait_count{n="kept"} 4"#, #"wait_created{n="kept"} 1000"#,
            ])
    }

    @Test func `observations of zero keep a histogram from expiring`() {
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

    @Test func `series of a family without an idle time do not expire`() {
        registry.counter("hits", help: "", labels: ["n"]).with("a").increment()
        _ = scrape()
        #expect(waitAndScrape(.seconds(1_000_000)).count == 2)
    }

    @Test func `a hidden series returns with its exemplar`() {
        let hits = counter()
        let waits = registry.histogram("wait", help: "", labels: ["n"], buckets: [1], limit: limit)
        let (hit, wait) = (hits.with("a"), waits.with("a"))
        hit.increment(exemplar: .trace("old"))
        wait.observe(0.5, exemplar: .trace("old"))
        #expect(scrape().count { $0.contains("old") } == 2)
        _ = waitAndScrape()
        hit.increment()
        wait.observe(0.5)
        #expect(scrape().count { $0.contains("old") } == 2)
        hit.increment(exemplar: .trace("new"))
        #expect(scrape().contains { $0.contains("new") })
    }

    @Test func `a wall clock that is set back affects neither idle time nor creation time`() {
        let kept = counter().with("a")
        kept.increment()
        _ = scrape()
        clock.advance(by: .seconds(60))
        clock.secondsSinceEpoch = 500
        #expect(scrape() == [])
        kept.increment()
        #expect(scrape() == [#"hits_total{n="a"} 2"#, #"hits_created{n="a"} 1000"#])
    }

    @Test func `a scrape that was not delivered does not expire series`() {
        let hits = counter()
        let kept = hits.with("kept")
        for counter in [kept, hits.with("let go")] { counter.increment() }
        // HEAD requests, and clients that disconnect.
        for _ in 0..<6 {
            _ = registry.respond(awaitsDelivery: true)
            clock.advance(by: .seconds(60))
        }
        // The idle time starts with the first delivered scrape.
        for _ in 0..<2 {
            let response = registry.respond(awaitsDelivery: true)
            #expect(String(decoding: response.body, as: UTF8.self).contains("kept"))
            #expect(String(decoding: response.body, as: UTF8.self).contains("let go"))
            response.confirmDelivery()
        }
        #expect(waitAndScrape(.seconds(59)).count == 4)
        #expect(waitAndScrape(.seconds(1)) == [])
        #expect(hits.count == 1)
    }

    @Test func `a delivered scrape of other families does not expire series`() {
        let hits = counter()
        hits.with("a").increment()
        _ = registry.respond(awaitsDelivery: true)
        for _ in 0..<3 {
            clock.advance(by: .seconds(60))
            _ = registry.respond(names: ["something_else"])
        }
        #expect(scrape().count == 2)
    }

    @Test func `a late delivery of old values does not expire newer ones`() {
        let hits = counter()
        hits.with("a").increment()
        let old = registry.respond(awaitsDelivery: true)
        clock.advance(by: .seconds(1))
        hits.with("a").increment()
        _ = registry.respond(awaitsDelivery: true)
        old.confirmDelivery()
        clock.advance(by: .seconds(100))
        #expect(scrape().first == #"hits_total{n="a"} 2"#)
    }

    @Test func `with an idle time of zero a series expires at the first scrape without a change`() {
        let hits = registry.counter(
            "hits", help: "", labels: ["n"], limit: SeriesLimit(idleTime: .seconds(-5)))
        hits.with("a").increment()
        #expect(scrape().count == 2)
        #expect(scrape() == [])
    }

    @Test func `hidden and removed series survive a rebuild of the table`() {
        let hits = registry.counter(
            "hits", help: "", labels: ["n"], limit: SeriesLimit(idleTime: .seconds(60)))
        let kept = (0..<10).map { hits.with("kept\($0)") }
        for n in 0..<200 { hits.with("\(n)").increment() }
        for counter in kept { counter.increment() }
        #expect(scrape().count == 420)
        #expect(waitAndScrape() == [])
        #expect(hits.count == 10)
        kept[3].increment()
        #expect(scrape() == [#"hits_total{n="kept3"} 2"#, #"hits_created{n="kept3"} 1000"#])
        hits.remove("kept4")
        kept[4].increment()
        #expect(scrape().count == 2)
    }

    @Test func `a scrape of other families alone does not expire series`() {
        let hits = counter()
        hits.with("a").increment()
        _ = scrape()
        clock.advance(by: .seconds(60))
        _ = registry.respond(names: ["something_else"])
        #expect(hits.count == 1)
        _ = registry.respond(names: ["hits_total"])
        #expect(hits.count == 0)
    }

    @Test func `a scrape that has to grow its buffer counts as one scrape`() {
        let hits = registry.counter(
            "hits", help: "", labels: ["n"], limit: SeriesLimit(idleTime: .zero))
        hits.with("a").increment()
        #expect(registry.text(capacity: 1).contains("hits_total"))
        #expect(!registry.text(capacity: 1).contains("hits_total"))
    }
}
