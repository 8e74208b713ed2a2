// SPDX-License-Identifier: Apache-2.0
// A probe tells how long a job waits, and an executor that hangs costs one job.

import OutriderMetrics
import OutriderRuntime
import OutriderTesting
import OutriderThreading
import TestSupport
import Testing

@Suite struct ProbeConcurrencyTests {
    private final class Kept: Sendable {
        let jobs = Guarded<[ProbeJob]>([])
        var count: Int { jobs.withLock { $0.count } }
    }

    private let registry = Registry(reportsItself: false)
    private let monitor: RuntimeMonitor
    private let delay: Histogram
    private let age: Gauge

    init() {
        monitor = RuntimeMonitor(
            registry: registry, configuration: quietConfiguration(),
            log: DiagnosticLog { _, _ in })
        delay = registry.histogram("delay_seconds", help: "D.", buckets: [0.01, 1])
        age = registry.gauge("age_seconds", help: "A.")
    }

    private func value(_ name: String) throws -> Double {
        try registry.exposition().families.flatMap(\.samples)
            .first { $0.name == name }?.value ?? -1
    }

    @Test func `a job that is not run is the only one, and grows old`() throws {
        let kept = Kept()
        monitor.watch(
            ProbeTarget(name: "held", kind: "worker", answersForSure: true) { job in
                kept.jobs.withLock { $0.append(job) }
            }, delay: delay, age: age)
        defer { monitor.stop() }
        #expect(try eventually { try value("age_seconds") > 0.05 })
        #expect(kept.count == 1)
        #expect(try value("delay_seconds_count") == 0)
        kept.jobs.withLock { $0[0].run() }
        #expect(try value("delay_seconds_count") == 1)
        #expect(try value("delay_seconds_sum") > 0.05)
        #expect(eventually { kept.count == 2 })
    }

    @Test func `what beats by itself is late by what it says, and no later`() throws {
        let probe = monitor.watch(
            ProbeTarget(name: "own", kind: "worker", answersForSure: true, enqueue: nil),
            delay: delay, age: age)
        defer { monitor.stop() }
        probe.expect(at: .now + .seconds(600))
        probe.ran()
        #expect(try value("delay_seconds_sum") == 0)
        probe.expect(at: .now - .milliseconds(50))
        #expect(try eventually { try value("age_seconds") >= 0.05 })
        probe.ran()
        #expect(try value("delay_seconds_count") == 2)
        #expect(try value("delay_seconds_sum") >= 0.05)
        #expect(try eventually { try value("age_seconds") == 0 })
    }

    @Test func `what is retired is probed no more`() throws {
        let kept = Kept()
        let probe = monitor.watch(
            ProbeTarget(name: "going", kind: "worker", answersForSure: true) { job in
                kept.jobs.withLock { $0.append(job) }
            }, delay: delay, age: age)
        defer { monitor.stop() }
        #expect(eventually { kept.count == 1 })
        probe.retire()
        #expect(eventually { monitor.watchedTargets == 0 })
        kept.jobs.withLock { $0[0].run() }
        #expect(kept.count == 1)
        #expect(try value("age_seconds") == 0)
    }

    @Test func `workers probed while they come and go are all let go of`() throws {
        for number in 0..<20 {
            let worker = Worker()
            let probe = monitor.watch(worker.target("worker \(number)"), delay: delay)
            #expect(try eventually { try value("delay_seconds_count") > Double(number) })
            probe.retire()
        }
        defer { monitor.stop() }
        #expect(eventually { monitor.watchedTargets == 0 })
    }

    @Test func `a monitor may be stopped and started again`() throws {
        let worker = Worker()
        monitor.watch(worker.target("worker"), delay: delay)
        for _ in 0..<10 {
            monitor.stop()
            let count = try value("delay_seconds_count")
            monitor.start()
            #expect(try eventually { try value("delay_seconds_count") > count + 1 })
        }
        monitor.stop()
    }
}
