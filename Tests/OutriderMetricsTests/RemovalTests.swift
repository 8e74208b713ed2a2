// SPDX-License-Identifier: Apache-2.0
// Tests of removal: removed series are absent from the scrape, and held instruments keep working.

import OutriderMetrics
import Testing

@Suite struct RemovalTests {
    private let registry = Registry.bare

    @Test func `a removed series is no longer exposed`() {
        let hits = registry.counter("hits", help: "Hits.", labels: ["route"])
        hits.with("/a").increment()
        hits.with("/b").increment(by: 2)
        #expect(hits.remove("/a"))
        #expect(
            registry.text() == """
                # HELP hits_total Hits.
                # TYPE hits_total counter
                hits_total{route="/b"} 2

                """)
        #expect(hits.count == 1)
    }

    @Test func `removing a series that does not exist has no effect`() {
        let hits = registry.counter("hits", help: "Hits.", labels: ["route"])
        hits.with("/a").increment()
        #expect(!hits.remove("/b"))
        #expect(!hits.remove("/a", "x"))
        #expect(!hits.remove())
        #expect(hits.remove("/a"))
        #expect(!hits.remove("/a"))
        #expect(hits.count == 0)
    }

    @Test func `a held instrument keeps working after its series was removed`() {
        let hits = registry.counter("hits", help: "Hits.", labels: ["route"])
        let kept = hits.with("/a")
        kept.increment(by: 3)
        hits.remove("/a")
        kept.increment(by: 4)
        #expect(kept.value == 7)
        #expect(registry.text() == "")
    }

    @Test func `the same labels restart at zero`() {
        let hits = registry.counter("hits", help: "Hits.", labels: ["route"])
        let kept = hits.with("/a")
        kept.increment(by: 3)
        hits.remove("/a")
        let fresh = hits.with("/a")
        #expect(fresh !== kept)
        kept.increment(by: 100)
        fresh.increment()
        #expect(registry.sample(#"hits_total{route="/a"}"#) == "1")
    }

    @Test func `a histogram restarts at zero too`() {
        let waits = registry.histogram("wait", help: "W.", labels: ["queue"], buckets: [1])
        waits.with("mail").observe(0.5)
        waits.remove("mail")
        _ = waits.with("mail")
        #expect(
            registry.text() == """
                # HELP wait W.
                # TYPE wait histogram
                wait_bucket{queue="mail",le="1.0"} 0
                wait_bucket{queue="mail",le="+Inf"} 0
                wait_sum{queue="mail"} 0
                wait_count{queue="mail"} 0

                """)
    }

    @Test func `a partial match removes every series with those labels`() {
        let hits = registry.counter("hits", help: "Hits.", labels: ["method", "route", "zone"])
        for method in ["GET", "PUT"] {
            for route in ["/", "/a"] {
                for zone in ["x", "y"] { hits.with(method, route, zone).increment() }
            }
        }
        #expect(hits.removeAll(matching: ["route": "/", "zone": "y"]) == 2)
        #expect(hits.removeAll(matching: ["method": "PUT"]) == 3)
        #expect(
            registry.text() == """
                # HELP hits_total Hits.
                # TYPE hits_total counter
                hits_total{method="GET",route="/",zone="x"} 1
                hits_total{method="GET",route="/a",zone="x"} 1
                hits_total{method="GET",route="/a",zone="y"} 1

                """)
    }

    @Test func `a full set of labels matches one series`() {
        let hits = registry.counter("hits", help: "Hits.", labels: ["method", "route"])
        _ = hits.with("GET", "/")
        _ = hits.with("GET", "/a")
        #expect(hits.removeAll(matching: ["route": "/", "method": "GET"]) == 1)
        #expect(hits.count == 1)
    }

    @Test func `an unknown label matches no series`() {
        let hits = registry.counter("hits", help: "Hits.", labels: ["route"])
        _ = hits.with("/")
        #expect(hits.removeAll(matching: ["zone": "x"]) == 0)
        #expect(hits.removeAll(matching: ["route": "/", "zone": ""]) == 0)
        #expect(hits.count == 1)
    }

    @Test func `a partial match compares whole labels and whole values`() {
        let hits = registry.counter("hits", help: "Hits.", labels: ["kind", "subkind"])
        _ = hits.with("a", "b")
        _ = hits.with("b", "a")
        _ = hits.with("aa", "x")
        _ = hits.with(#"x",subkind="a"#, "y")
        #expect(hits.removeAll(matching: ["kind": "a"]) == 1)
        #expect(hits.removeAll(matching: ["subkind": "a"]) == 1)
        #expect(hits.removeAll(matching: ["kind": #"x",subkind="a"#]) == 1)
        #expect(hits.removeAll(matching: ["kind": "aa"]) == 1)
        #expect(hits.count == 0)
    }

    @Test(arguments: ["", "\"", "\\", "\n", "\\n", "=", ",", "a=\"b\"", "\\\"", "}", "é\u{0}"])
    func `a partial match finds every value`(value: String) {
        let hits = registry.counter("hits", help: "Hits.", labels: ["a", "b"])
        _ = hits.with("1", value)
        _ = hits.with(value, "2")
        _ = hits.with("other", "other")
        #expect(hits.removeAll(matching: ["b": value]) == 1)
        #expect(hits.removeAll(matching: ["a": value]) == 1)
        #expect(hits.count == 1)
    }

    @Test func `all series can be removed at once and created again`() {
        let hits = registry.counter("hits", help: "Hits.", labels: ["route"])
        for route in 0..<500 { hits.with("/\(route)").increment() }
        hits.removeAll()
        #expect(hits.count == 0)
        #expect(registry.text() == "")
        hits.with("/7").increment()
        #expect(hits.count == 1)
        #expect(registry.sample(#"hits_total{route="/7"}"#) == "1")
    }

    @Test func `an unregistered family is not exposed, its instruments work, and its name is free`()
    {
        let counter = registry.counter("orders", help: "Orders.")
        #expect(registry.unregister("orders_total"))
        counter.increment()
        #expect(counter.value == 1)
        #expect(registry.text() == "")
        #expect(!registry.unregister("orders_total"))
        registry.gauge("orders", help: "Orders that are open.").set(5)
        #expect(
            registry.text() == """
                # HELP orders Orders that are open.
                # TYPE orders gauge
                orders 5

                """)
    }

    @Test(arguments: ["orders", "orders_total"])
    func `a counter is unregistered with or without its suffix`(name: String) {
        _ = registry.counter("orders", help: "Orders.")
        #expect(registry.unregister(name))
        #expect(registry.text() == "")
    }

    @Test func `a histogram is not unregistered by the name of one of its samples`() {
        _ = registry.histogram("wait_seconds", help: "Waits.")
        #expect(!registry.unregister("wait_seconds_bucket"))
        #expect(!registry.unregister("wait_seconds_count"))
        #expect(registry.sample("wait_seconds_count") == "0")
    }
}
