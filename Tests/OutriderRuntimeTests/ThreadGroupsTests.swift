// SPDX-License-Identifier: Apache-2.0
// Tests of thread groups: threads are grouped by name, and their usage is neither lost nor counted
// twice.

import OutriderMetrics
import OutriderRuntime
import OutriderTesting
import TestSupport
import Testing

@Suite struct ThreadGroupsTests {
    private func thread(
        _ number: Int32, _ name: String, user: Int, delay: Int? = 0, start: Int = 1
    ) -> ThreadGroups.Thread {
        ThreadGroups.Thread(
            number: number, startTicks: start, name: name,
            account: ThreadGroups.Account(
                userTicks: user, systemTicks: 0, delayNanoseconds: delay))
    }

    @Test(arguments: [
        ("worker-12", "worker-N"), ("NIO-ELT-0-#13", "NIO-ELT-N-#N"), ("", "(unnamed)"),
        ("plain", "plain"), ("7", "N"), ("a1b22c", "aNbNc"),
    ])
    func `digits in names are folded`(name: String, folded: String) {
        #expect(ThreadGroups.fold(name) == folded)
    }

    @Test func `sums grow by the usage since the previous reading`() {
        var groups = ThreadGroups()
        groups.note([thread(1, "w-1", user: 10), thread(2, "w-2", user: 5)])
        groups.note([thread(1, "w-1", user: 12), thread(2, "w-2", user: 5)])
        #expect(groups.groups["w-N"]?.userTicks == 17)
        #expect(groups.groups["w-N"]?.count == 2)
    }

    @Test func `after a year of short-lived threads, memory is as after a day`() {
        var groups = ThreadGroups()
        var day = 0
        func kept() -> Int { groups.groups.count + groups.accountCount }
        for look in 0..<24 * 365 {
            // Thread IDs are reused, with names of new letters and repeated digits.
            groups.note(
                (0..<30).map { number in
                    thread(
                        Int32(look * 30 % 32_000 + number),
                        "job\(String(look % 200, radix: 2))-\(number)",
                        user: look, start: look)
                } + [thread(1, String(repeating: "abcdefghij", count: look % 20), user: look)])
            if look == 24 { day = kept() }
        }
        #expect(day > 0)
        #expect(Double(kept()) <= Double(day) * 1.1)
    }

    @Test func `the usage of an ended thread is kept`() {
        var groups = ThreadGroups()
        groups.note([thread(1, "w", user: 10, delay: 7)])
        groups.note([])
        #expect(groups.groups["w"]?.userTicks == 10)
        #expect(groups.groups["w"]?.count == 0)
        #expect(groups.delayNanoseconds == 7)
    }

    @Test func `a reused thread ID is another thread`() {
        var groups = ThreadGroups()
        groups.note([thread(1, "w", user: 10, start: 1)])
        groups.note([thread(1, "w", user: 3, start: 2)])
        #expect(groups.groups["w"]?.userTicks == 13)
    }

    @Test func `names beyond the limit share one group`() {
        var groups = ThreadGroups()
        let letters = Array("abcdefghijklmnopqrstuvwxyz")
        let names = letters.flatMap { first in letters.map { "\(first)\($0)" } }
        groups.note(names.enumerated().map { thread(Int32($0.offset + 1), $0.element, user: 1) })
        #expect(groups.groups.count == ThreadGroups.groupLimit + 1)
        let rest = names.count - ThreadGroups.groupLimit
        #expect(groups.groups[ThreadGroups.overflow]?.userTicks == rest)
    }

    @Test func `without a delay from the kernel there is none`() {
        var groups = ThreadGroups()
        groups.note([thread(1, "w", user: 1, delay: nil)])
        #expect(groups.delayNanoseconds == nil)
        #expect(groups.groups["w"]?.delayNanoseconds == nil)
    }

    @Test func `thread files become metrics, and broken ones are counted`() throws {
        func stat(_ name: String, user: Int) -> String {
            "9 (\(name)) S 1 1 1 0 -1 0 0 0 0 0 \(user) 20 0 0 20 0 2 0 5 6 7 8 9\n"
        }
        let proc = try FakeProc([
            "self/task/11/stat": stat("io-1", user: 100), "self/task/11/comm": "io-1\n",
            "self/task/11/schedstat": "1 3000000000 1\n",
            "self/task/12/stat": stat("io-2", user: 50), "self/task/12/comm": "io-2\n",
            "self/task/12/schedstat": "nonsense\n",
            "self/task/13/stat": "13 (cut", "self/task/13/comm": "cut\n",
        ])
        let failures = SourceFailures()
        let registry = Registry(hasOwnMetrics: false)
        try registry.register(
            ThreadCollector(
                proc: proc.path, failures: failures, pauses: ReadingPauses(of: "threads")))
        try registry.expect("threads", ["thread": "io-N"], 2)
        try registry.expect("thread_cpu_seconds_total", ["thread": "io-N", "mode": "user"], 1.5)
        try registry.expect("thread_cpu_seconds_total", ["thread": "io-N", "mode": "system"], 0.4)
        try registry.expect("thread_run_queue_seconds_total", ["thread": "io-N"], 3)
        try registry.expect("process_run_queue_seconds_total", 3)
        #expect(failures.count(of: "self/task/schedstat", .malformed) == 1)
        #expect(failures.count(of: "self/task/stat", .malformed) == 1)
    }

    @Test func `a scrape with old readings triggers a new reading without waiting for it`() throws {
        func files(_ thread: Int) -> [String: String] {
            let stat = "9 (io) S 1 1 1 0 -1 0 0 0 0 0 1 2 0 0 20 0 2 0 5 6 7 8 9\n"
            let directory = "self/task/\(thread)"
            return [
                "\(directory)/stat": stat, "\(directory)/comm": "io\n",
                "\(directory)/schedstat": "1 2 1\n",
            ]
        }
        let (proc, time) = (try FakeProc(files(11)), ManualTime())
        let registry = Registry(hasOwnMetrics: false)
        try registry.register(
            ThreadCollector(
                proc: proc.path, failures: SourceFailures(), pauses: ReadingPauses(of: "threads"),
                time: time))
        try registry.expect("threads", ["thread": "io"], 1)
        for (file, text) in files(12) { try proc.write(file, text) }
        // Twice the maximum age between ticks: no tick refreshes these readings.
        time.advance(by: .seconds(20))
        for _ in 0..<3 { try registry.expect("threads", ["thread": "io"], 1) }
        time.advance(by: .seconds(1))
        try registry.expect("threads", ["thread": "io"], 1)
        #expect(eventually { registry.value("threads", ["thread": "io"]) == 2 })
    }
}
