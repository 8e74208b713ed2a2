// SPDX-License-Identifier: Apache-2.0
// Tests of a scrape's HTTP response: its format, and the families selected by name.

import OutriderMetrics
import Synchronization
import Testing

@Suite struct ScrapeResponseTests {
    private let registry = Registry.bare

    init() {
        registry.counter("orders", help: "Orders.").increment()
        registry.gauge("depth", help: "Depth.").set(2)
        registry.histogram("wait", help: "Waits.", buckets: [1]).observe(2)
        registry.info("build", help: "Build.", ["v": "1"])
        registry.gauge("called", help: "Called.") { 3 }
    }

    private static let orders =
        "# HELP orders_total Orders.\n# TYPE orders_total counter\norders_total 1\n"
    private static let depth = "# HELP depth Depth.\n# TYPE depth gauge\ndepth 2\n"
    private static let wait = """
        # HELP wait Waits.
        # TYPE wait histogram
        wait_bucket{le="1.0"} 0
        wait_bucket{le="+Inf"} 1
        wait_sum 2
        wait_count 1

        """
    private static let build =
        "# HELP build_info Build.\n# TYPE build_info gauge\nbuild_info{v=\"1\"} 1\n"
    private static let called = "# HELP called Called.\n# TYPE called gauge\ncalled 3\n"

    @Test(
        arguments: [
            (nil, nil), ("*/*", "gzip"), ("text/plain;version=0.0.4", nil),
            ("application/openmetrics-text; version=2.0.0,text/plain;q=0.5", "gzip, zstd"),
            ("application/json", "identity;q=0"), ("", ""), ("garbage;;;q=nine\n", "\u{0}"),
        ] as [(String?, String?)])
    func `a scraper that does not accept OpenMetrics gets the text format`(
        accept: String?, encoding: String?
    ) {
        let response = registry.respond(accept: accept, acceptEncoding: encoding)
        #expect(response.status == 200)
        let types = response.headers.filter { $0.name.lowercased() == "content-type" }
        #expect(types.map(\.value) == ["text/plain; version=0.0.4; charset=utf-8"])
        #expect(!response.headers.contains { $0.name.lowercased() == "content-encoding" })
        #expect(text(response) == registry.text())
    }

    @Test func `without names, all families are returned`() {
        #expect(
            text(registry.respond()) == Self.build + Self.called + Self.depth + Self.orders
                + Self.wait)
        #expect(text(registry.respond(names: [])) == registry.text())
    }

    @Test(arguments: [
        (["orders_total"], orders), (["orders"], orders), (["depth"], depth),
        (["wait"], wait), (["wait_bucket"], wait), (["wait_sum"], wait), (["wait_count"], wait),
        (["build_info"], build), (["called"], called),
        (["wait_count", "depth", "wait"], depth + wait),
        (["depth", "depth", "nothing"], depth),
    ])
    func `a family is selected by its name or a sample's, and printed in full`(
        names: [String], expected: String
    ) {
        #expect(text(registry.respond(names: names)) == expected)
    }

    @Test(arguments: [
        ["nothing"], [""], ["DEPTH"], ["dept"], ["depth_count"], ["wait_"], ["*"],
        [#"wait_bucket{le="1.0"}"#],
    ])
    func `unknown names return an empty body with status 200`(names: [String]) {
        let response = registry.respond(names: names)
        #expect(response.status == 200)
        #expect(response.body == [])
        #expect(
            response.headers.contains {
                $0 == ("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            })
    }

    @Test func `names filter the registry's own metrics too`() {
        let registry = Registry(log: .silent)
        let response = registry.respond(names: ["outrider_label_values_repaired_total"])
        #expect(
            text(response).split(separator: "\n").last == "outrider_label_values_repaired_total 0")
        #expect(text(response).split(separator: "\n").count == 3)
    }

    private func text(_ response: ScrapeResponse) -> String {
        String(decoding: response.body, as: UTF8.self)
    }
}

@Suite struct ScrapeRoomTests {
    @Test(arguments: [0, 1, 100, 255, 256, 4_000])
    func `a scrape that starts with too little memory is complete, and calls callbacks once`(
        capacity: Int
    ) {
        let registry = Registry(hasOwnMetrics: false)
        let calls = Calls()
        registry.gauge("asked", help: "Calls.") { calls.next() }
        let levels = registry.gauge("levels", help: "Levels.", labels: ["n"])
        for index in 0..<200 { levels.with("\(index)").set(Double(index) / 3) }
        let expected = registry.text().replacing("asked 1\n", with: "asked 2\n")
        #expect(registry.text(capacity: capacity) == expected)
    }
}

private final class Calls: Sendable {
    private let count = Atomic<Int>(0)

    func next() -> Double { Double(count.wrappingAdd(1, ordering: .relaxed).newValue) }
}
