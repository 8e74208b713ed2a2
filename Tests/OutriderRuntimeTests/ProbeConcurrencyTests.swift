// SPDX-License-Identifier: Apache-2.0
// Tests of probes: each measures how long a job waits, and a hung executor gets only one job.

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

    private let registry = Registry(hasOwnMetrics: false)
    private let time = ManualTime()
    private let monitor: RuntimeMonitor
    private let delay: Histogram
    private let age: Gauge

    init() {
        monitor = RuntimeMonitor(
            registry: registry, configuration: quietConfiguration(time),
            log: DiagnosticLog { _, _ in })
        delay = registry.histogram("delay_seconds", help: "D.", buckets: [0.01, 1])
        age = registry.gauge("age_seconds", help: "A.")
    }

    private func value(_ name: String) throws -> Double {
        try registry.exposition().families.flatMap(\.samples)
            .first { $0.name == name }?.value ?? -1
    }

    @Test func `a job that does not run is the only one, and its age grows`() throws {
        let kept = Kept()
        monitor.watch(
            ProbeTarget(name: "held", kind: "worker", alwaysResponds: true) { job in
                kept.jobs.withLock { $0.append(job) }
            }, delay: delay, age: age)
        defer { monitor.stop() }
        expectBeatDone(time)
        for _ in 0..<3 { beat(time) }
        #expect(kept.count == 1)
        #expect(try value("age_seconds") == 3)
        #expect(try value("delay_seconds_count") == 0)
        kept.jobs.withLock { $0[0].run() }
        #expect(try value("delay_seconds_count") == 1)
        #expect(try value("delay_seconds_sum") == 3)
        beat(time)
        #expect(kept.count == 2)
    }

    @Test func `a self-reporting target is late by what it reports, and no more`() throws {
        let probe = monitor.watch(
            ProbeTarget(name: "own", kind: "worker", alwaysResponds: true, enqueue: nil),
            delay: delay, age: age)
        defer { monitor.stop() }
        expectBeatDone(time)
        probe.expect(at: time.now + .seconds(600))
        probe.ran()
        #expect(try value("delay_seconds_sum") == 0)
        probe.expect(at: time.now - .milliseconds(500))
        beat(time)
        #expect(try value("age_seconds") == 1.5)
        probe.ran()
        #expect(try value("delay_seconds_count") == 2)
        #expect(try value("delay_seconds_sum") == 1.5)
        beat(time)
        #expect(try value("age_seconds") == 0)
    }

    @Test func `a retired target is no longer probed`() throws {
        let kept = Kept()
        let probe = monitor.watch(
            ProbeTarget(name: "going", kind: "worker", alwaysResponds: true) { job in
                kept.jobs.withLock { $0.append(job) }
            }, delay: delay, age: age)
        defer { monitor.stop() }
        expectBeatDone(time)
        #expect(kept.count == 1)
        probe.retire()
        beat(time)
        #expect(monitor.watchedTargets == 0)
        kept.jobs.withLock { $0[0].run() }
        #expect(kept.count == 1)
        #expect(try value("age_seconds") == 0)
    }

    @Test func `workers that are retired while probed are all released`() throws {
        for number in 0..<20 {
            let worker = Worker()
            let probe = monitor.watch(worker.target("worker \(number)"), delay: delay)
            if number == 0 { expectBeatDone(time) } else { beat(time) }
            #expect(
                try eventually { try value("delay_seconds_count") > Double(number) })
            probe.retire()
        }
        defer { monitor.stop() }
        beat(time)
        #expect(monitor.watchedTargets == 0)
    }

    @Test func `a monitor probes in real time, and can be stopped and started again`() throws {
        let monitor = RuntimeMonitor(
            registry: registry, configuration: quietConfiguration(),
            log: DiagnosticLog { _, _ in })
        let worker = Worker()
        monitor.watch(worker.target("worker"), delay: delay)
        for _ in 0..<10 {
            monitor.stop()
            let count = try value("delay_seconds_count")
            monitor.start()
            #expect(
                try eventually { try value("delay_seconds_count") > count + 1 })
        }
        monitor.stop()
    }
}
