// SPDX-License-Identifier: Apache-2.0
// What hangs is caught once, with the stack of its thread, and told of when it is over.

import Glibc
import OutriderMetrics
import OutriderRuntime
import OutriderTesting
import Synchronization
import TestSupport
import Testing

/// Holds its thread up until it is told not to; tests look for its name.
@inline(never)
private func holdUp(_ mayGo: borrowing Atomic<Bool>) {
    while !mayGo.load(ordering: .acquiring) { usleep(1_000) }
}

private final class Hold: Sendable {
    let mayGo = Atomic<Bool>(false)
}

private final class Log: Sendable {
    let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
}

@Suite struct StallTests {
    private let registry = Registry(reportsItself: false)
    private let log = Log()

    private func monitor(stallThreshold: Duration) -> RuntimeMonitor {
        let log = self.log
        return RuntimeMonitor(
            registry: registry, configuration: quietConfiguration(stallThreshold: stallThreshold),
            log: DiagnosticLog { _, text in log.lines.withLock { $0.append(text) } })
    }

    private var delay: Histogram {
        registry.histogram("delay_seconds", help: "D.", buckets: [0.01, 1])
    }

    private func count() throws -> Double {
        try registry.exposition().families.flatMap(\.samples)
            .first { $0.name == "outrider_stalls_total" }?.value ?? 0
    }

    /// Waits for an answer, after which the thread is known.
    private func answersOnce() throws {
        #expect(
            try eventually {
                try registry.exposition().families.flatMap(\.samples)
                    .contains { $0.name == "delay_seconds_count" && $0.value > 0 }
            })
    }

    @Test func `a worker that hangs is told of once, with what it does`() throws {
        let monitor = monitor(stallThreshold: .milliseconds(100))
        let worker = Worker()
        monitor.watch(worker.target("worker"), delay: delay)
        defer { monitor.stop() }
        try answersOnce()
        let hold = Hold()
        worker.enqueue { holdUp(hold.mayGo) }
        #expect(
            eventually { monitor.stalls.first.map { $0.duration > .milliseconds(200) } ?? false })
        let running = try #require(monitor.stalls.first)
        #expect(!running.isOver)
        #expect(running.functions.contains { $0.contains("holdUp") }, "\(running.functions)")
        #expect(running.summary.contains("has not answered for"))
        #expect(monitor.notices().contains { $0.contains("The worker") && $0.contains("holdUp") })
        #expect(
            monitor.notices(namesFunctions: false).allSatisfy {
                $0.contains("worker") && !$0.contains("holdUp")
            })
        hold.mayGo.store(true, ordering: .releasing)
        #expect(eventually { monitor.stalls.first?.isOver == true })
        let over = try #require(monitor.stalls.first)
        #expect(over.duration >= running.duration)
        #expect(over.summary.contains("did not answer for"))
        #expect(over.report.contains("holdUp"))
        #expect(monitor.stalls.count == 1)
        #expect(try count() == 1)
        #expect(log.all.count { $0.contains("holdUp") } == 1)
    }

    @Test func `a thread that takes no signal is told of without its stack`() throws {
        let monitor = monitor(stallThreshold: .milliseconds(50))
        let worker = Worker(isDeaf: true)
        monitor.watch(worker.target("deaf worker"), delay: delay)
        defer { monitor.stop() }
        try answersOnce()
        let hold = Hold()
        worker.enqueue { holdUp(hold.mayGo) }
        #expect(eventually { !monitor.stalls.isEmpty })
        #expect(
            monitor.stalls.first?.functions == ["(no stack: the thread did not take SIGPROF)"])
        hold.mayGo.store(true, ordering: .releasing)
        #expect(eventually { monitor.stalls.first?.isOver == true })
    }

    @Test func `sixteen stalls are kept, the latest first`() throws {
        let monitor = monitor(stallThreshold: .milliseconds(10))
        let probes = (0..<20).map { number in
            monitor.watch(
                ProbeTarget(name: "no \(number)", kind: "worker", answersForSure: true) { _ in },
                delay: delay)
        }
        defer { monitor.stop() }
        #expect(try eventually { try count() == 20 })
        #expect(monitor.stalls.count == 16)
        #expect(monitor.notices().count == 3)
        #expect(monitor.stalls.allSatisfy { !$0.isOver })
        // They go while they hang: nobody waits for them any more.
        for probe in probes { probe.retire() }
        #expect(eventually { monitor.stalls.allSatisfy(\.isOver) })
    }
}
