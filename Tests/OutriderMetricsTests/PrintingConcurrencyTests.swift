// SPDX-License-Identifier: Apache-2.0
// Tests that different scrapes are rendered one at a time, so that only one of them uses memory at
// a time.

import OutriderMetrics
import OutriderThreading
import TestSupport
import TestTraits
import Testing

@Suite(.blocking) struct PrintingConcurrencyTests {
    @Test func `waiting scrapes get their turns in order of arrival`() {
        let turns = Turns()
        let order = Order()
        let isIn = Latch()
        let mayEnd = Latch()
        let threads = [
            run {
                turns.take(within: .seconds(600)) {
                    isIn.open()
                    _ = mayEnd.wait(for: .seconds(600))
                    order.note(0)
                }
            }
        ]
        #expect(isIn.wait(for: .seconds(600)))
        var others: [Latch] = []
        for number in 1...3 {
            others.append(run { turns.take(within: .seconds(600)) { order.note(number) } })
            #expect(eventually { turns.waiting == number })
        }
        #expect(order.numbers.isEmpty)
        mayEnd.open()
        for thread in threads + others { #expect(thread.wait(for: .seconds(600))) }
        #expect(order.numbers == [0, 1, 2, 3])
        #expect(turns.waiting == 0)
    }

    @Test func `a scrape that has waited up to the limit proceeds without the turn`() {
        let turns = Turns()
        var isDone = false
        turns.take(within: .zero) {
            turns.take(within: .milliseconds(1)) { isDone = true }
            #expect(turns.waiting == 0)
        }
        #expect(isDone)
        // The turn was released exactly once.
        let isTaken = turns.take(within: .zero) { true }
        #expect(isTaken)
    }

    @Test func `sixteen different scrapes all get a response`() {
        let registry = Registry(log: .silent)
        let hits = registry.counter("hits", help: "Hits.", labels: ["a"])
        for number in 0..<200 { hits.with("\(number)").increment() }
        let scrapes = (0..<16).map { number in
            run {
                let body = registry.respond(
                    accept: number % 2 == 0 ? "application/openmetrics-text" : nil,
                    names: ["hits_total", "other_\(number)"]
                ).body
                #expect(body.count > 2_000)
            }
        }
        for scrape in scrapes { #expect(scrape.wait(for: .seconds(600))) }
        #expect(registry.waitingScrapes == 0)
    }
}

/// Runs `body` on a separate thread; the latch opens when it is done.
private func run(_ body: @escaping @Sendable () -> Void) -> Latch {
    let isDone = Latch()
    let hasStarted = DetachedThread.start {
        body()
        isDone.open()
    }
    if !hasStarted { isDone.open() }
    return isDone
}

private final class Order: Sendable {
    private let noted = Guarded<[Int]>([])

    var numbers: [Int] { noted.withLock { $0 } }

    func note(_ number: Int) { noted.withLock { $0.append(number) } }
}
