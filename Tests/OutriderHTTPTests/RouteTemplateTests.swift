// SPDX-License-Identifier: Apache-2.0
// Tests of route templates as text: equal templates are one route wherever they are stored,
// different ones never are, and no template breaks the exposition.

import OutriderHTTP
import OutriderMetrics
import OutriderTesting
import TestSupport
import Testing

@Suite struct RouteTemplateTests {
    private static let requests = "http_requests_total"
    private let recording = Recording {
        $0.naming = .prometheus
        $0.buckets = [1]
        $0.limit = SeriesLimit(count: 20_000)
    }

    /// The count for each route.
    private func counts() throws -> [String: Double] {
        let samples = try recording.registry.samples(Self.requests)
        return Dictionary(samples.map { ($0.labels["route"] ?? "", $0.value) }) { $0 + $1 }
    }

    /// A copy of a text with separate storage.
    private static func fresh(_ text: String) -> String {
        String(decoding: Array(text.utf8), as: UTF8.self)
    }

    // MARK: - Identity

    @Test(arguments: ["/a", "/fifteen-bytes!", "/sixteen-bytes!!", "/api/v1/orders/{id}/lines"])
    func `equal templates in different storage are one route`(template: String) throws {
        recording.begin(route: template).finish()
        for _ in 0..<50 { recording.begin(route: Self.fresh(template)).finish() }
        var grown = ""
        for character in template { grown.append(character) }
        recording.begin(route: grown).finish()
        recording.begin(route: String(template.dropLast(0))).finish()
        #expect(try counts() == [template: 53])
    }

    @Test func `different short templates are different routes`() throws {
        let texts = (0..<2_000).map { "/\($0)" } + ["/", "//", "///", "/a", "/a\0", "/a\0\0", "/é"]
        for _ in 0..<3 {
            for text in texts { recording.begin(route: text).finish() }
        }
        #expect(try counts() == Dictionary(uniqueKeysWithValues: texts.map { ($0, 3) }))
    }

    @Test func `a template at a reused address is not mistaken for the freed one`() throws {
        // Each is freed before the next is created, so that they may share an address.
        var wanted: [String: Double] = [:]
        for turn in 0..<3 {
            for number in 0..<5_000 {
                let text = "/a-template-on-the-heap/\(number % 1_000)/{turn}/\(turn)"
                recording.begin(route: text).finish()
                wanted[text, default: 0] += 1
            }
        }
        #expect(try counts() == wanted)
    }

    @Test func `a template that is modified in place is another route`() throws {
        var text = ""
        text.reserveCapacity(10_000)
        text.append("/a-template-on-the-heap/")
        var wanted: [String: Double] = [:]
        for number in 0..<1_000 {
            text.append("x")
            recording.begin(route: text).finish()
            wanted[text] = 1
            text.removeLast()
            text.append(number % 2 == 0 ? "y" : "z")
            recording.begin(route: text).finish()
            wanted[text] = 1
            if number % 100 == 99 { text.removeLast(100) }
        }
        #expect(try counts().keys.sorted() == wanted.keys.sorted())
        #expect(try recording.total(Self.requests) == 2_000)
    }

    @Test func `a template overwritten in place with the same length is another route`() throws {
        var text = "/a-template-on-the-heap/0000"
        for number in 1_000..<3_000 {
            text.removeLast(4)
            text.append(String(number))
            recording.begin(route: text).finish()
        }
        let found = try counts()
        #expect(found.count == 2_000)
        #expect(found.values.allSatisfy { $0 == 1 })
    }

    @Test func `substrings of a larger text are separate routes`() throws {
        let path = "/one/of-the-first-parts/two/of-the-first-parts/three"
        let parts = path.split(separator: "/").map(String.init)
        for _ in 0..<2 {
            for part in path.split(separator: "/") { recording.begin(route: String(part)).finish() }
            for length in 1...path.utf8.count {
                recording.begin(route: String(path.prefix(length))).finish()
            }
        }
        var wanted: [String: Double] = [:]
        for part in parts { wanted[part, default: 0] += 2 }
        for length in 1...path.utf8.count { wanted[String(path.prefix(length)), default: 0] += 2 }
        #expect(try counts() == wanted)
    }

    @Test func `ten thousand templates are ten thousand routes`() throws {
        for _ in 0..<2 {
            for number in 0..<10_000 {
                recording.begin(route: "/api/v1/resource\(number)/{id}").finish()
            }
        }
        let found = try counts()
        #expect(found.count == 10_000)
        #expect(found.values.allSatisfy { $0 == 2 })
    }

    // MARK: - Hostile texts

    private static let hostile = [
        "\"", "\\", "\n", "\r\n", "\0", "/a\"} 1\nevil_total 1\n#", "# EOF\n", "{}", "/a\\\"\\n",
        "\u{2028}\u{FEFF}\u{202E}", "\u{1F600}", "e\u{301}", "\u{7F}\u{80}\u{9F}", " ", "/ä/{ö}",
        "_UNMATCHED", "_OVERFLOW", "\u{FFFD}",
        String(repeating: "x", count: 100_000), String(repeating: "\"\n", count: 50_000),
    ]

    @Test func `no template breaks the exposition, and each is kept as it is`() throws {
        let recording = Recording {
            $0.naming = .both
            $0.buckets = [1]
        }
        for template in Self.hostile { recording.begin(route: template).finish() }
        _ = try recording.registry.openMetrics()
        if Promtool.path != nil {
            #expect(try Promtool.checkMetrics(recording.registry.text()) == [])
        }
        for (name, label) in [
            ("\(Recording.durations)_count", "http_route"), (Self.requests, "route"),
        ] {
            let found = try recording.registry.values(of: label, on: name)
            #expect(Set(found.filter { $0.utf8.count < 200 }).isSuperset(of: Self.shortOnes))
            #expect(try recording.total(name) == Double(Self.hostile.count))
        }
    }

    /// The ones short enough not to be truncated, without the one with NUL, which Prometheus cannot
    /// read.
    private static var shortOnes: Set<String> {
        Set(hostile.filter { $0.utf8.count < 200 && !$0.utf8.contains(0) })
    }

    @Test func `a hostile template breaks neither aborts nor upgrades`() throws {
        for template in Self.hostile {
            let token = recording.begin(route: template)
            token.recordHead(status: 200)
            token.finish(.clientDisconnected)
            recording.begin(route: template).upgrade(to: template).end()
        }
        _ = try recording.registry.openMetrics()
        let count = Double(Self.hostile.count)
        #expect(try recording.total(Recording.aborted) == count)
        #expect(
            try recording.total("http_server_upgraded_connection_duration_seconds_count") == count)
    }

    @Test func `an empty template is recorded as the root, since Prometheus drops empty labels`()
        throws
    {
        let recording = Recording()
        recording.begin(route: "").finish()
        try recording.expectOne("200", route: "/")
        let excluding = Recording { $0.excludedRoutes = [""] }
        excluding.begin(route: "").finish()
        excluding.begin(route: "/").finish()
        #expect(try excluding.counted() == 0)
    }
}
