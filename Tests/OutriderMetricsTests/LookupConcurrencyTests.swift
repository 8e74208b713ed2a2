// SPDX-License-Identifier: Apache-2.0
// Tests of lock-free lookups while other threads create, remove and scrape series.

import OutriderMetrics
import OutriderTesting
import OutriderThreading
import Testing

@Suite struct LookupConcurrencyTests {
    private static let turns = 4_000

    @Test func `no increment of a kept series is lost while others are created and removed`() async
    {
        let registry = Registry.bare
        let family = registry.counter("c", help: "C.", labels: ["kind", "n"])
        await withTaskGroup { group in
            for _ in 0..<3 {
                group.addTask {
                    for turn in 0..<Self.turns {
                        family.record("kept", "\(turn % 7)") { $0.increment() }
                        family.with("kept", "\(turn % 5)").increment()
                    }
                }
            }
            group.addTask {
                for turn in 0..<Self.turns {
                    family.with("passing", "\(turn % 300)").increment()
                    if turn % 300 == 299 { family.removeAll(matching: ["kind": "passing"]) }
                }
            }
            group.addTask { for _ in 0..<50 { _ = registry.text() } }
        }
        let kept = (0..<7).reduce(0) { $0 + family.with("kept", "\($1)").value }
        #expect(kept == Double(3 * 2 * Self.turns))
    }

    @Test func `threads that request the same new series at once get the same one`() async {
        let family = Registry.bare.counter("c", help: "C.", labels: ["a", "b", "c"])
        await withTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    for turn in 0..<Self.turns {
                        family.record("\(turn)", "x", "y") { $0.increment() }
                    }
                }
            }
        }
        #expect(family.count == Self.turns)
        let isWhole = (0..<Self.turns).allSatisfy { family.with("\($0)", "x", "y").value == 4 }
        #expect(isWhole)
    }

    @Test func `a series gets rows while four threads increment it`() async {
        // With rows for no CPU, every thread adds to the shared row.
        for rows in [CellRows(cpus: 0), CellRows(cpus: 2)] {
            // The clock does not advance, so all additions fall into a short time, which gives a
            // series rows.
            let registry = Registry(
                hasOwnMetrics: false, log: .silent, clock: ManualClock(), rows: rows)
            let counter = registry.counter("c", help: "C.")
            let histogram = registry.histogram("h", help: "H.", buckets: [1, 2])
            await withTaskGroup { group in
                for _ in 0..<4 {
                    group.addTask {
                        for turn in 0..<50_000 {
                            counter.increment()
                            histogram.observe(Double(turn % 4))
                        }
                    }
                }
                group.addTask {
                    var last = 0.0
                    for _ in 0..<100 {
                        let now = counter.value
                        #expect(now >= last)
                        last = now
                        _ = registry.text()
                    }
                }
            }
            #expect(counter.value == 200_000)
            #expect(histogram.count == 200_000)
            #expect(histogram.sum == 300_000)
            #expect(rows.mappedPages > 0)
        }
    }
}
