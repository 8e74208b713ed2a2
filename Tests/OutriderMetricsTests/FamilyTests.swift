// SPDX-License-Identifier: Apache-2.0
// Tests of families: one child for each label set, in whatever order and form the labels are given.

import OutriderMetrics
import Testing

@Suite struct FamilyTests {
    @Test func `each label set is a separate series`() {
        let registry = Registry.bare
        let hits = registry.counter("hits", help: "Hits.", labels: ["method", "route"])
        hits.with("GET", "/").increment()
        hits.with("GET", "/a").increment(by: 2)
        hits.with("PUT", "/").increment(by: 3)
        #expect(
            registry.text() == """
                # HELP hits_total Hits.
                # TYPE hits_total counter
                hits_total{method="GET",route="/"} 1
                hits_total{method="GET",route="/a"} 2
                hits_total{method="PUT",route="/"} 3

                """)
        #expect(hits.count == 3)
    }

    @Test func `the same values return the same child`() {
        let hits = Registry.bare.counter("hits", help: "Hits.", labels: ["route"])
        #expect(hits.with("/") === hits.with("/"))
        #expect(hits.with("/") !== hits.with("/a"))
        #expect(hits.count == 2)
    }

    @Test func `every form of the values returns the same child`() {
        let family = Registry.bare.gauge("x", help: "X.", labels: ["a", "b", "c", "d"])
        let child = family.with("1", "2", "3", "4")
        #expect(family.with(["1", "2", "3", "4"]) === child)
        #expect(family.with(["d": "4", "b": "2", "a": "1", "c": "3"]) === child)
        #expect(
            family.with(utf8: Array("1".utf8), Array("2".utf8), Array("3".utf8), Array("4".utf8))
                === child)
        #expect(family.count == 1)
    }

    @Test func `two and three values return the same child as a list of them`() {
        let registry = Registry.bare
        let two = registry.gauge("two", help: "Two.", labels: ["a", "b"])
        #expect(two.with("1", "2") === two.with(["1", "2"]))
        let three = registry.gauge("three", help: "Three.", labels: ["a", "b", "c"])
        #expect(three.with("1", "2", "3") === three.with(["1", "2", "3"]))
    }

    @Test func `the order of labels does not create a second series`() {
        let registry = Registry.bare
        let forth = registry.counter("hits", help: "Hits.", labels: ["method", "route", "zone"])
        let back = registry.counter("hits", help: "Hits.", labels: ["zone", "method", "route"])
        forth.with("GET", "/", "x").increment()
        back.with("x", "GET", "/").increment()
        #expect(forth.with("GET", "/", "x") === back.with("x", "GET", "/"))
        #expect(
            back.with(["route": "/", "zone": "x", "method": "GET"]) === forth.with("GET", "/", "x"))
        #expect(registry.sample(#"hits_total{method="GET",route="/",zone="x"}"#) == "2")
        #expect(forth.count == 1)
        #expect(back.remove("x", "GET", "/"))
        #expect(forth.count == 0)
    }

    @Test func `a family without labels has one child`() {
        let registry = Registry.bare
        let family = registry.counter("hits", help: "Hits.", labels: [])
        family.with([String]()).increment()
        registry.counter("hits", help: "Hits.").increment()
        #expect(registry.sample("hits_total") == "2")
    }

    @Test func `a wrong number of values returns a working child that is counted and not exposed`()
    {
        let registry = Registry(log: .silent)
        let hits = registry.counter("hits", help: "Hits.", labels: ["method", "route"])
        let children = [
            hits.with("GET"), hits.with("GET", "/", "x"), hits.with("a", "b", "c", "d"),
            hits.with([String]()), hits.with(["method": "GET"]),
            hits.with(["method": "GET", "rout": "/"]),
            hits.with(["method": "GET", "route": "/", "zone": "x"]),
            hits.with(utf8: Array("GET".utf8)),
        ]
        for child in children {
            child.increment(by: 5)
            #expect(child.value == 5)
        }
        #expect(!registry.text().contains("hits_total{"))
        #expect(registry.observationsRefused("wrong_labels") == "\(children.count)")
    }

    @Test func `refused children are separate from each other`() {
        let hits = Registry.bare.counter("hits", help: "Hits.", labels: ["route"])
        hits.with("a", "b").increment()
        #expect(hits.with("a", "b").value == 0)
    }

    @Test func `a family without children prints nothing`() {
        let registry = Registry.bare
        let hits = registry.counter("hits", help: "Hits.", labels: ["route"])
        #expect(registry.text() == "")
        hits.with("/").increment()
        hits.remove("/")
        #expect(registry.text() == "")
    }

    @Test func `a child outlives its family and registry`() {
        let child = Registry.bare.histogram("x", help: "X.", labels: ["a"]).with("1")
        child.observe(0.5)
        #expect(child.count == 1)
    }
}
