// SPDX-License-Identifier: Apache-2.0
// Eight threads that record as fast as they can, and a comparison of the counts.
//
// Four threads stay on one CPU, four move between CPUs. Rounds of threads start and end, series are
// created, removed and expired, scrapes run continuously, and the process forks, whose children
// continue to count. Finally it prints one line each:
//
//     <name> <recorded> <counted by the library>
//
// Built without a sanitizer, to test the restartable sequences.

import CTestSupport
import Foundation
import Outrider
import Synchronization
import TestSupport

final class Stress: Sendable {
    private static let rounds = 3
    private static let threads = 8
    private static let turns = 120_000
    private static let bits = 20
    private static let kinds = ["a", "b", "c"]

    /// The counts of one thread.
    private struct Done {
        var whole = 0
        var quarters = 0
        var observed = 0
        var eighths = 0
        var looked = 0
        var passing = 0
        var lost = 0
    }

    private let registry = Registry(hasOwnMetrics: false)
    private let whole: Counter
    private let fraction: Counter
    private let histogram: Histogram
    private let looked: Family<Counter>
    private let passing: Family<Counter>
    private let own: Family<Counter>
    private let total = Mutex(Done())
    private let isOver = Atomic<Bool>(false)
    private let forks = Atomic<Int>(0)

    private init() {
        whole = registry.counter("whole_total", help: "Whole.")
        fraction = registry.counter("fraction_total", help: "Fractions.")
        histogram = registry.histogram("observed", help: "Observed.", buckets: [1, 2, 3])
        looked = registry.counter("looked_total", help: "Looked up.", labels: ["kind", "n"])
        passing = registry.counter(
            "passing_total", help: "Forgotten.", labels: ["n"],
            limit: SeriesLimit(idleTime: .milliseconds(20)))
        own = registry.counter("own_total", help: "Removed.", labels: ["thread"])
    }

    static func run() {
        let stress = Stress()
        // The Swift runtime creates metadata for generic code at its first use, under locks that a
        // child of an unoptimized build might find held.
        _ = stress.countsExactly(1, "warm")
        let scraper = DispatchGroup()
        start(in: scraper) { stress.scrape() }
        for round in 0..<rounds {
            let group = DispatchGroup()
            for number in 0..<threads { start(in: group) { stress.record(number, round) } }
            for _ in 0..<3 { stress.fork() }
            group.wait()
        }
        stress.isOver.store(true, ordering: .sequentiallyConsistent)
        scraper.wait()
        stress.report()
    }

    /// Runs `body` on a separate thread.
    private static func start(in group: DispatchGroup, _ body: @escaping @Sendable () -> Void) {
        group.enter()
        Thread {
            body()
            group.leave()
        }.start()
    }

    private func record(_ number: Int, _ round: Int) {
        var done = Done()
        if number < 4 { _ = test_stay_on_cpu(Int32(number)) }
        for turn in 0..<Self.turns {
            if number >= 4, turn % 500 == 0 { _ = test_stay_on_cpu(Int32(turn / 500 + number)) }
            whole.increment()
            done.whole += 1
            if turn % 16 == 0 {
                whole.increment(by: 3)
                done.whole += 3
            }
            fraction.increment(by: 0.25)
            done.quarters += 1
            histogram.observe(Double(turn & 31) / 8)
            done.observed += 1
            done.eighths += turn & 31
            looked.record(Self.kinds[turn % 3], "\(turn % 11)") { $0.increment() }
            done.looked += 1
            if turn % 64 == 0 {
                // Each increment adds a separate bit, so that a scrape shows which ones it
                // includes.
                let step = turn / 64
                passing.with("\(round)-\(number)-\(step / Self.bits)")
                    .increment(by: 1 << (step % Self.bits))
                done.passing += 1
            }
            if turn % 128 == 0 {
                let name = "\(round)-\(number)"
                own.with(name).increment(by: 5)
                if own.with(name).value != 5 { done.lost += 1 }
                own.remove(name)
            }
        }
        total.withLock { total in
            total.whole += done.whole
            total.quarters += done.quarters
            total.observed += done.observed
            total.eighths += done.eighths
            total.looked += done.looked
            total.passing += done.passing
            total.lost += done.lost
        }
    }

    /// The bits of each series that may expire, over all its lifetimes.
    private let shown = Mutex<[Substring: Int]>([:])

    /// Scrapes, and keeps the bits that a series has shown before it expires.
    private func scrape() {
        var isLast = false
        repeat {
            isLast = isOver.load(ordering: .sequentiallyConsistent)
            for line in registry.text().split(separator: "\n")
            where line.hasPrefix("passing_total{") {
                let parts = line.split(separator: " ")
                let bits = Int(parts[1]) ?? 0
                shown.withLock { $0[parts[0], default: 0] |= bits }
            }
        } while !isLast
    }

    /// Forks a child, which has the parent's counts and continues them independently.
    private func fork() {
        let code = inForkedChild { [self] in
            _exit(countsExactly(50_000, "child") ? 0 : 1)
        }
        if code == 0 {
            forks.add(1, ordering: .relaxed)
        } else {
            FileHandle.standardError.write(Data("a child ended with \(code)\n".utf8))
        }
    }

    /// Records on an existing and on a new series; returns whether every increment is counted.
    private func countsExactly(_ count: Int, _ kind: String) -> Bool {
        let before = whole.value
        for _ in 0..<count {
            whole.increment()
            looked.record(kind, "0") { $0.increment() }
        }
        return whole.value == before + Double(count)
            && looked.with(kind, "0").value == Double(count)
    }

    private func report() {
        let done = total.withLock { $0 }
        let passed = shown.withLock { $0.values.reduce(0) { $0 + $1.nonzeroBitCount } }
        let looks = (0..<3 * 11).reduce(0) { sum, index in
            sum + looked.with(Self.kinds[index % 3], "\(index / 3)").value
        }
        for (name, recorded, counted) in [
            ("whole", Double(done.whole + 1), whole.value),
            ("fraction", Double(done.quarters) / 4, fraction.value),
            ("observations", Double(done.observed), Double(histogram.count)),
            ("sum", Double(done.eighths) / 8, histogram.sum),
            ("looked", Double(done.looked), looks),
            ("passing", Double(done.passing), Double(passed)),
            ("removed", 0, Double(done.lost)),
            ("children", Double(Self.rounds * 3), Double(forks.load(ordering: .relaxed))),
        ] { print(name, recorded, counted) }
    }
}
