// SPDX-License-Identifier: Apache-2.0
// Tests of stalls: each is detected once, with the stack of its thread, and reported again when it
// ends.

import Glibc
import OutriderMetrics
import OutriderRuntime
import OutriderTesting
import OutriderThreading
import Synchronization
import TestSupport
import Testing

/// Opens the latch and blocks its thread until it may continue; tests look for this function's name.
///
/// It does not call libc directly: a stack may lack the caller of a function without a frame
/// pointer.
@inline(never)
private func holdUp(_ hasBegun: Latch, until mayGo: () -> Bool) {
    hasBegun.open()
    _ = eventually(within: 300, mayGo)
}

private final class Hold: Sendable {
    private let mayGo = Atomic<Bool>(false)
    private let hasBegun = Latch()

    /// Blocks a worker, and returns once it is blocked.
    func begin(_ worker: Worker) {
        worker.enqueue { [self] in
            holdUp(hasBegun) { mayGo.load(ordering: .acquiring) }
        }
        #expect(hasBegun.wait(for: .seconds(60)))
    }

    func end() { mayGo.store(true, ordering: .releasing) }
}

private final class Log: Sendable {
    let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
}

@Suite struct StallTests {
    private let registry = Registry(hasOwnMetrics: false)
    private let log = Log()
    private let time = ManualTime()

    /// A monitor with one tick per second.
    private func monitor(
        stallThreshold: Duration, stackPatience: Duration = .seconds(60)
    ) -> RuntimeMonitor {
        let log = self.log
        var configuration = quietConfiguration(time, stallThreshold: stallThreshold)
        configuration.stackPatience = stackPatience
        return RuntimeMonitor(
            registry: registry, configuration: configuration,
            log: DiagnosticLog { _, text in log.lines.withLock { $0.append(text) } })
    }

    private var delay: Histogram {
        registry.histogram("delay_seconds", help: "D.", buckets: [0.01, 1])
    }

    private func count() throws -> Double {
        try registry.exposition().families.flatMap(\.samples)
            .first { $0.name == "outrider_stalls_total" }?.value ?? 0
    }

    /// Waits for this many answered probes; after the first one the thread is known.
    private func waitForAnswers(_ count: Int) throws {
        #expect(
            try eventually {
                try registry.exposition().families.flatMap(\.samples)
                    .contains { $0.name == "delay_seconds_count" && $0.value == Double(count) }
            })
    }

    @Test func `a hung worker is reported once, with its stack`() throws {
        let monitor = monitor(stallThreshold: .seconds(2))
        let worker = Worker()
        monitor.watch(worker.target("worker"), delay: delay)
        defer { monitor.stop() }
        expectBeatDone(time)
        try waitForAnswers(1)
        let hold = Hold()
        hold.begin(worker)
        // The first tick sends the probe that stays unanswered.
        for _ in 0..<2 { beat(time) }
        #expect(monitor.stalls.isEmpty)
        for _ in 0..<2 { beat(time) }
        let running = try #require(monitor.stalls.first)
        #expect(!running.isOver)
        #expect(running.duration == .seconds(3))
        #expect(running.functions.contains { $0.contains("holdUp") }, "\(running.functions)")
        #expect(running.summary.contains("has not responded for"))
        #expect(monitor.notices().contains { $0.contains("The worker") && $0.contains("holdUp") })
        #expect(
            monitor.notices(includesFunctions: false).allSatisfy {
                $0.contains("worker") && !$0.contains("holdUp")
            })
        hold.end()
        try waitForAnswers(2)
        beat(time)
        let over = try #require(monitor.stalls.first)
        #expect(over.isOver)
        #expect(over.duration == .seconds(4))
        #expect(over.summary.contains("did not respond for"))
        #expect(over.report.contains("holdUp"))
        #expect(monitor.stalls.count == 1)
        #expect(try count() == 1)
        #expect(log.all.count { $0.contains("holdUp") } == 1)
    }

    @Test func `a thread that blocks signals is reported without its stack`() throws {
        let monitor = monitor(stallThreshold: .seconds(1), stackPatience: .milliseconds(50))
        let worker = Worker(isDeaf: true)
        monitor.watch(worker.target("deaf worker"), delay: delay)
        defer { monitor.stop() }
        expectBeatDone(time)
        try waitForAnswers(1)
        let hold = Hold()
        hold.begin(worker)
        for _ in 0..<2 { beat(time) }
        #expect(
            monitor.stalls.first?.functions == [
                "(no stack: the thread did not handle SIGPROF in time)"
            ])
        hold.end()
        try waitForAnswers(2)
        beat(time)
        #expect(monitor.stalls.first?.isOver == true)
    }

    @Test func `sixteen stalls are kept, the latest first`() throws {
        let monitor = monitor(stallThreshold: .seconds(1))
        let probes = (0..<20).map { number in
            monitor.watch(
                ProbeTarget(name: "no \(number)", kind: "worker", alwaysResponds: true) { _ in },
                delay: delay)
        }
        defer { monitor.stop() }
        expectBeatDone(time)
        for _ in 0..<2 { beat(time) }
        #expect(try count() == 20)
        #expect(monitor.stalls.count == 16)
        #expect(monitor.notices().count == 3)
        #expect(monitor.stalls.allSatisfy { !$0.isOver })
        // The targets are retired while they hang, which ends their stalls.
        for probe in probes { probe.retire() }
        beat(time)
        #expect(monitor.stalls.allSatisfy { $0.isOver })
    }
}
