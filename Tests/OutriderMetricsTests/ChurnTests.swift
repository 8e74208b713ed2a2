// SPDX-License-Identifier: Apache-2.0
// Tests that removed series leave no memory and no values behind.

import Foundation
import OutriderMetrics
import Testing

@Suite struct ChurnTests {
    #if os(Linux)
        @Test func `200,000 series created and removed leave no memory behind`() async {
            // In a separate process, whose memory other tests do not share.
            await #expect(processExitsWith: .success) {
                let family = Registry.bare.histogram(
                    "h", help: "H.", labels: ["id"],
                    buckets: .linear(start: 0, width: 1, count: 30))
                let padding = String(repeating: "x", count: 400)
                func churn(_ range: Range<Int>) {
                    for n in range {
                        family.with("\(padding)\(n)").observe(1)
                        if n >= 100 { family.remove("\(padding)\(n - 100)") }
                    }
                }
                churn(0..<2_000)
                let before = try ChurnTests.residentKilobytes()
                churn(2_000..<200_000)
                let grown = try ChurnTests.residentKilobytes() - before
                #expect(family.count == 100)
                // A series here uses 32 cells of 8 bytes and over 400 bytes of labels, so 198,000
                // leaked ones would leave 50 MB of cells or 79 MB of labels. The legitimate use is
                // 100 live series and as many dead ones, 0.2 MB. The rest of the limit is for the
                // tables of a heap sampler, which may watch this process.
                #expect(grown < 35_000)
            }
        }

        /// The resident memory of this process (proc_pid_status(5)).
        private static func residentKilobytes() throws -> Int {
            let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
            let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") })
            return try #require(Int(line.split(separator: " ").dropFirst().first ?? ""))
        }
    #endif

    @Test func `a held instrument never appears under another series' labels`() {
        let registry = Registry.bare
        let family = registry.counter("c", help: "C.", labels: ["id"])
        let kept = (0..<50).map { family.with("old\($0)") }
        for n in 0..<50 { family.remove("old\(n)") }
        for n in 0..<20_000 {
            kept[n % 50].increment(by: 1_000_000)
            family.with("\(n)").increment()
            if n >= 10 { family.remove("\(n - 10)") }
        }
        var expected = "# HELP c_total C.\n# TYPE c_total counter\n"
        for n in 19_990..<20_000 { expected += "c_total{id=\"\(n)\"} 1\n" }
        #expect(registry.text() == expected)
        #expect(kept.map(\.value) == Array(repeating: 400_000_000, count: 50))
    }

    @Test func `a series keeps its value and its instrument while others are created and removed`()
    {
        let registry = Registry.bare
        let family = registry.gauge("g", help: "G.", labels: ["id"])
        let stays = family.with("stays")
        for n in 0..<10_000 {
            stays.increment()
            family.with("\(n)").set(-1)
            family.remove("\(n)")
        }
        #expect(family.with("stays") === stays)
        #expect(registry.text() == "# HELP g G.\n# TYPE g gauge\ng{id=\"stays\"} 10000\n")
    }

    @Test func `every new series starts at zero, even in reused memory`() {
        let family = Registry.bare.histogram("h", help: "H.", labels: ["id"], buckets: [1, 2, 3])
        for n in 0..<5_000 {
            let child = family.with("\(n)")
            #expect(child.count == 0)
            #expect(child.sum == 0)
            for value in 0..<5 { child.observe(Double(value)) }
            family.remove("\(n)")
        }
    }

    @Test func `20,000 series of one family are distinct`() {
        let registry = Registry.bare
        let family = registry.counter(
            "c", help: "C.", labels: ["id", "kind"], limit: SeriesLimit(count: 20_000))
        let children = (0..<20_000).map { family.with("\($0)", "k\($0 % 3)") }
        for (n, child) in children.enumerated() { child.increment(by: n) }
        var expected = "# HELP c_total C.\n# TYPE c_total counter\n"
        for n in 0..<20_000 { expected += "c_total{id=\"\(n)\",kind=\"k\(n % 3)\"} \(n)\n" }
        let isSame = registry.text() == expected
        #expect(isSame)
        let areSame = children.indices.allSatisfy {
            family.with("\($0)", "k\($0 % 3)") === children[$0]
        }
        #expect(areSame)
        #expect(family.removeAll(matching: ["kind": "k1"]) == 6_667)
        #expect(family.count == 13_333)
    }
}
