// SPDX-License-Identifier: Apache-2.0
// Probes of Swift's executors: the global one at each priority, and the main actor's.
//
// Each priority has its own queue, so a clogged one does not show in another. Probes are sent from
// a plain thread, never from a task: a task would wait with all the others.

internal import OutriderMetrics
internal import OutriderThreading

/// The executors of Swift concurrency.
enum ExecutorProbes {
    /// Upper bounds of `swift_executor_delay_seconds`.
    static let buckets: Buckets = [
        0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
        0.5,
        1, 2.5, 5, 10,
    ]

    /// A probe and the labels of its metrics.
    struct Executor: Sendable {
        let probe: Probe
        let executor: String
        let priority: String
    }

    /// Probes of the main actor and of the global executor at these priorities.
    static func all(
        _ priorities: [TaskPriority], in registry: Registry, time: any TimeSource
    ) -> [Executor] {
        let delays = registry.histogram(
            "swift_executor_delay_seconds",
            help: "Time that a periodic probe job waited for an executor.",
            labels: ["executor", "priority"], buckets: buckets)
        // Once `main` is asynchronous, Dispatch runs the main queue on any thread.
        let main = ProbeTarget(
            name: "main actor", kind: "main_actor", alwaysResponds: false, threads: .pool
        ) { job in
            Task { @MainActor in job.run() }
        }
        let global = priorities.map { priority in
            let name = name(of: priority)
            let target = ProbeTarget(
                name: "global executor, priority \(name)", kind: "executor", alwaysResponds: true,
                threads: .pool
            ) { job in
                Task.detached(priority: priority) { job.run() }
            }
            return Executor(
                probe: Probe(target, delay: delays.with("global", name), time: time),
                executor: "global", priority: name)
        }
        return [
            Executor(
                probe: Probe(main, delay: delays.with("main", ""), time: time), executor: "main",
                priority: "")
        ] + global
    }

    /// `high`, `medium`, `low` or `background`.
    static func name(of priority: TaskPriority) -> String {
        switch priority {
        case .high: "high"
        case .medium: "medium"
        case .low: "low"
        case .background: "background"
        default: "\(priority.rawValue)"
        }
    }
}

/// The age of each executor's outstanding probe.
struct ExecutorCollector: Collector {
    let executors: [ExecutorProbes.Executor]

    var name: String { "executors" }

    private static let age = CollectedFamily.gauge(
        "swift_executor_oldest_probe_age_seconds",
        help: "Age of the outstanding probe, in seconds; 0 when none is outstanding.",
        labels: ["executor", "priority"])

    var families: [CollectedFamily] { [Self.age] }

    func collect(into samples: inout CollectedSamples) {
        for one in executors {
            guard let age = one.probe.age else { continue }
            samples.add(Self.age, age / .seconds(1), one.executor, one.priority)
        }
    }
}
