// SPDX-License-Identifier: Apache-2.0
// Tests of scrape deadlines: a hung collector costs only its own samples, and concurrent scrapes
// share a rendering.

import Dispatch
import Glibc
import OutriderMetrics
import OutriderTesting
import Synchronization
import TestSupport
import TestTraits
import Testing

/// A door at which collectors wait until the test opens it for good.
private final class BlockingGate: Sendable {
    private let visitors = DispatchSemaphore(value: 0)
    private let opened = DispatchSemaphore(value: 0)

    func pass() {
        visitors.signal()
        _ = opened.wait(timeout: .now() + 600)
        opened.signal()
    }

    func open() { opened.signal() }

    func waitForArrival() -> Bool { visitors.wait(timeout: .now() + 120) == .success }
}

/// The number of threads in this process.
private func threadCount() -> Int {
    guard let listing = unsafe opendir("/proc/self/task") else { return -1 }
    defer { unsafe closedir(listing) }
    var count = 0
    while unsafe readdir(listing) != nil { count += 1 }
    return count
}

@Suite(.blocking) struct ScrapeDeadlineConcurrencyTests {
    private static let value = CollectedFamily.gauge("value", help: "V.")
    private let failed = "outrider_collector_failures_total"

    private func body(_ response: ScrapeResponse) -> String {
        String(decoding: response.body, as: UTF8.self)
    }

    @Test func `a hung collector is omitted at the time limit, and all others are served`() {
        let recorded = RecordedLog()
        let registry = Registry(log: recorded.log)
        let gate = BlockingGate()
        defer { gate.open() }
        let calls = Tally()
        registry.gauge("instrument", help: "I.").set(1)
        // Before and after the hung one, by name and by registration.
        registry.gauge("before", help: "B.") { 1 }
        registry.add(
            TestCollector(name: "hung", families: [Self.value]) { samples in
                calls.add()
                gate.pass()
                samples.add(Self.value, 1)
            })
        registry.gauge("zz_behind", help: "B.") { 1 }
        // Long enough for the others on any machine; only this test waits for a time limit.
        let first = body(registry.respond(scrapeTimeout: "6"))
        #expect(!first.contains("\nvalue "))
        for name in ["instrument", "before", "zz_behind"] {
            #expect(first.contains("\n\(name) 1\n"))
        }
        // Not called again before it has returned.
        let second = body(registry.respond(scrapeTimeout: "6"))
        #expect(second.contains("\nzz_behind 1\n"))
        #expect(calls.count == 1)
        #expect(registry.value(failed, ["collector": "hung"]) == 2)
        #expect(recorded.lines.count == 1)
        #expect(recorded.lines.first?.contains("hung") == true)
        gate.open()
        // It returns, and is called again.
        #expect(eventually { body(registry.respond()).contains("\nvalue 1\n") })
    }

    @Test func `a hung callback is omitted and counted under its metric's name`() {
        let registry = Registry(log: .silent)
        let gate = BlockingGate()
        defer { gate.open() }
        registry.gauge("hung", help: "H.") {
            gate.pass()
            return 1
        }
        #expect(!body(registry.respond(scrapeTimeout: "0.1")).contains("\nhung "))
        #expect(registry.value(failed, ["collector": "hung"]) == 1)
    }

    @Test func `a scraper with a short timeout does not shorten that of others`() {
        let registry = Registry.bare
        registry.gauge("slow", help: "S.") {
            usleep(20_000)
            return 1
        }
        DispatchQueue.concurrentPerform(iterations: 32) { number in
            let timeout = number % 2 == 0 ? "0.000001" : "10"
            let text = body(registry.respond(scrapeTimeout: timeout))
            if timeout == "10" { #expect(text.contains("\nslow 1\n")) }
        }
    }

    @Test func `callbacks that wait for one lock use a bounded number of threads`() async {
        // In a separate process, to count its threads.
        await #expect(processExitsWith: .success) {
            let registry = Registry(log: .silent)
            let gate = BlockingGate()
            for number in 0..<100 {
                registry.gauge("g\(number)", help: "G.") {
                    gate.pass()
                    return 1
                }
            }
            let before = threadCount()
            DispatchQueue.concurrentPerform(iterations: 2) { number in
                _ = registry.respond(names: number == 0 ? [] : ["g1", "g2"], scrapeTimeout: "2.5")
            }
            // One for each of the two scrapes, and eight for the registry.
            let isBounded = threadCount() - before <= 2 + 8 + 4
            gate.open()
            exit(isBounded ? 0 : 1)
        }
    }

    @Test(arguments: ["junk", "", "-1", "0", "nan", "1e400", "0x"])
    func `an invalid timeout is ignored`(timeout: String) {
        let registry = Registry.bare
        registry.gauge("value", help: "") { 1 }
        #expect(body(registry.respond(scrapeTimeout: timeout)).contains("value 1\n"))
    }

    @Test func `concurrent scrapes share a rendering`() {
        let registry = Registry.bare
        let gate = BlockingGate()
        let renders = Tally()
        registry.gauge("value", help: "") {
            renders.add()
            gate.pass()
            return 1
        }
        let done = DispatchGroup()
        let responses = Tally()
        func scrape() {
            // A separate queue is a separate thread.
            DispatchQueue(label: "scrape").async(group: done) {
                if body(registry.respond()).contains("value 1\n") { responses.add() }
            }
        }
        scrape()
        #expect(gate.waitForArrival())
        for _ in 0..<7 { scrape() }
        #expect(eventually { registry.waitingScrapes == 7 })
        gate.open()
        #expect(done.wait(timeout: .now() + 120) == .success)
        #expect(responses.count == 8)
        #expect(renders.count == 2, "one for the first, one for all that waited")
    }

    @Test func `a scrape includes every increment made before it`() {
        let registry = Registry.bare
        let orders = registry.counter("orders", help: "", labels: ["thread"])
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            let own = orders.with("\(thread)")
            for count in 1...200 {
                own.increment()
                let line = "orders_total{thread=\"\(thread)\"} \(count)\n"
                if !body(registry.respond()).contains(line) {
                    Issue.record("\(line) is missing")
                    return
                }
            }
        }
    }

    @Test func `scrapes with different parameters do not share a rendering`() {
        let registry = Registry.bare
        _ = registry.gauge("long", help: String(repeating: "A long text. ", count: 200))
        _ = registry.gauge("other", help: "O.")
        DispatchQueue.concurrentPerform(iterations: 200) { number in
            switch number % 4 {
            case 0: #expect(body(registry.respond()).hasSuffix("other 0\n"))
            case 1:
                let response = registry.respond(accept: "application/openmetrics-text")
                #expect(body(response).hasSuffix("# EOF\n"))
            case 2: #expect(registry.respond(acceptEncoding: "gzip").body.first == 0x1F)
            default: #expect(body(registry.respond(names: ["other"])).hasPrefix("# HELP other"))
            }
        }
    }

    @Test func `exemplars may be recorded while they are printed`() {
        let registry = Registry.bare
        let wait = registry.histogram("wait", help: "", buckets: [1])
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            for _ in 0..<500 {
                if thread == 0 {
                    let text = registry.openMetricsText()
                    #expect(text.hasSuffix("# EOF\n"))
                } else {
                    wait.observe(0.5, exemplar: .trace("\(thread)"))
                }
            }
        }
        #expect(wait.count == 1_500)
    }
}
