// SPDX-License-Identifier: Apache-2.0
// The cost of process metrics: each collector with its exposition, a whole scrape with an agent's
// defaults, the cached readings, and the runtime hooks; in a small process, and in one with 10,000
// descriptors, 200 threads and 1 GiB.

import CBench
import Glibc
import OutriderMetrics
import OutriderRuntime

enum RuntimeBench {
    private static let bigDescriptors = 10_000
    private static let bigThreads = 200
    private static let bigBytes = 1 << 30

    static func run(_ harness: Harness) {
        hooks(harness)
        collectors(harness, "")
        let memory = grow()
        collectors(harness, "_big")
        unsafe free(memory)
    }

    // MARK: - Collectors

    private static func collectors(_ harness: Harness, _ suffix: String) {
        scrape("collect_process\(suffix)", harness, ProcessCollector())
        scrape("collect_threads\(suffix)", harness, ThreadCollector())
        scrape("collect_cgroup\(suffix)", harness, ControlGroupCollector())
        scrape("collect_memory\(suffix)", harness, MemoryCollector())
        scrape("collect_jobs\(suffix)", harness, JobCollector())
        scrapeHooks(harness, suffix)
        var onlyExecutors = RuntimeMonitor.Configuration.disabled
        onlyExecutors.executors = true
        monitoring(onlyExecutors) { registry in
            each("collect_executors\(suffix)", harness) { _ = registry.respond() }
        }
        monitoring(RuntimeMonitor.Configuration()) { registry in
            for reading in ["memory", "threads"] {
                let cost = "outrider_reading_duration_seconds{reading=\"\(reading)\"} "
                report("read_\(reading)\(suffix)", harness) { value(of: cost, in: registry) }
            }
            each("scrape_runtime\(suffix)", harness) { _ = registry.respond() }
        }
    }

    private static func scrapeHooks(_ harness: Harness, _ suffix: String) {
        let tasks = TaskCollector()
        if tasks.start() == nil {
            scrape("collect_tasks\(suffix)", harness, tasks)
            tasks.stop()
        }
        let types = ObjectTypeCollector()
        if types.start() == nil {
            scrape("collect_object_types\(suffix)", harness, types)
            types.stop()
        }
    }

    private static func monitoring(
        _ configuration: RuntimeMonitor.Configuration, _ body: (Registry) -> Void
    ) {
        let registry = Registry()
        let monitor = RuntimeMonitor(registry: registry, configuration: configuration)
        monitor.start()
        body(registry)
        monitor.stop()
    }

    /// Files are opened and cached readings are taken before the measurement.
    private static func scrape(_ op: String, _ harness: Harness, _ collector: some Collector) {
        let registry = Registry(hasOwnMetrics: false)
        registry.add(collector)
        _ = registry.respond()
        each(op, harness) { _ = registry.respond() }
    }

    /// Measures the whole process, because collectors run on a thread of the scrape.
    private static func each(_ op: String, _ harness: Harness, _ body: () -> Void) {
        harness.each(op, clock: CLOCK_PROCESS_CPUTIME_ID, body)
    }

    private static func report(_ op: String, _ harness: Harness, _ seconds: () -> Double?) {
        for _ in 0..<2_000 {
            if let seconds = seconds() { return harness.report(op, [seconds * 1e9]) }
            usleep(10_000)
        }
    }

    private static func value(of sample: String, in registry: Registry) -> Double? {
        registry.text().split(separator: "\n").first { $0.hasPrefix(sample) }
            .flatMap { Double($0.dropFirst(sample.count)) }
    }

    /// A collector by its operation's name, for an instruction counter.
    static func collector(_ op: String) -> any Collector {
        switch op {
        case "collect_process": ProcessCollector()
        case "collect_cgroup": ControlGroupCollector()
        default: JobCollector()
        }
    }

    // MARK: - Hooks

    /// The cost of creating a task, on the thread that creates it.
    private static func hooks(_ harness: Harness) {
        func makeTasks(_ count: Int) { for _ in 0..<count { Task.detached {} } }
        harness.operation("task_create", makeTasks)
        let jobs = JobCollector()
        jobs.start()
        harness.operation("task_create_counted", makeTasks)
        let tasks = TaskCollector()
        if tasks.start() == nil {
            harness.operation("task_create_counted_live", makeTasks)
            tasks.stop()
        }
        var kept = [Item](repeating: Item(), count: 1_024)
        let makeObjects = { (count: Int) in
            for index in 0..<count { kept[index & 1_023] = Item() }
        }
        harness.operation("object", makeObjects)
        let types = ObjectTypeCollector()
        if types.start() == nil {
            harness.operation("object_sampled", makeObjects)
            types.stop()
        }
    }

    private final class Item {
        var contents: (Int, Int, Int, Int) = (0, 0, 0, 0)
    }

    // MARK: - A large process

    private static func grow() -> UnsafeMutableRawPointer? {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = min(limit.rlim_max, rlim_t(bigDescriptors + 1_000))
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        for _ in 0..<bigDescriptors { _ = open("/dev/null", O_RDONLY) }
        for _ in 0..<bigThreads { _ = spawn { while true { pause() } } }
        let memory = malloc(bigBytes)
        if let memory { memset(memory, 1, bigBytes) }
        return memory
    }
}
