// SPDX-License-Identifier: Apache-2.0
// Runtime diagnostics of a process: the collectors, and the one-second timer that they share.
//
//     tick, once a second ──▶ a probe to each executor and event loop
//                         ──▶ readings that are too expensive for a scrape, if they are due
//                         ──▶ the hang watch
//
// The timer is one sleeping thread. Everything else happens during scrapes.

public import OutriderMetrics
internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Runtime diagnostics of the process: CPU, memory, threads, control group, executors.
///
/// An agent has one (`Agent.runtime`). Thread-safe.
public final class RuntimeMonitor: Sendable {
    private struct State: Sendable {
        var probes: [Probe] = []
        var readings: [any TimedReading] = []
        var isRunning = false
        var ending: Latch?
    }

    private let configuration: Configuration
    /// The registry of the metrics.
    package let registry: Registry
    private let log: DiagnosticLog
    private let failures = SourceFailures()
    private let watchdog: StallWatch?
    private let memory: MemoryCollector?
    private let memoryPauses: [ReadingPauses]
    private let state = Guarded(State())

    /// Creates a monitor with its metrics in `registry`; its timer starts with ``start()``.
    ///
    /// Collectors that `registry` already has are not added again.
    ///
    /// - Parameters:
    ///   - registry: The registry to add the collectors to.
    ///   - configuration: Which collectors to add, and the interval of the timer.
    ///   - log: The log for stalls and unavailable sources.
    ///   - liveBytes: The heap in use as estimated by a profiler; returns nil without one.
    public init(
        registry: Registry, configuration: Configuration = Configuration(),
        log: DiagnosticLog = .shared, liveBytes: @escaping @Sendable () -> Int? = { nil }
    ) {
        self.registry = registry
        self.configuration = configuration
        self.log = log
        watchdog = configuration.stallThreshold.map { threshold in
            StallWatch(
                threshold: max(threshold, .milliseconds(10)), in: registry, log: log,
                clock: SystemMetricClock(), time: configuration.time,
                patience: configuration.stackPatience)
        }
        if configuration.memory {
            let own = configuration.pauses(of: MemoryCollector.readingName, log: log)
            let allocator =
                configuration.allocator
                ? configuration.pauses(of: MemoryCollector.allocatorReadingName, log: log) : nil
            memory = MemoryCollector(
                proc: "/proc", failures: failures, pauses: own, allocatorPauses: allocator,
                time: configuration.time, liveBytes: liveBytes)
            memoryPauses = [own] + (allocator.map { [$0] } ?? [])
        } else {
            (memory, memoryPauses) = (nil, [])
        }
        addCollectors()
    }

    private func add(_ collector: some Collector) {
        if !registry.isCollecting(collector.name) { registry.add(collector) }
    }

    private func addCollectors() {
        var readings: [any TimedReading] = []
        var pauses = memoryPauses
        add(failures)
        let time = configuration.time
        if configuration.process {
            let own = configuration.pauses(of: ProcessCollector.readingName, log: log)
            add(ProcessCollector(proc: "/proc", failures: failures, pauses: own, time: time))
            pauses.append(own)
        }
        if configuration.controlGroup {
            let own = configuration.pauses(of: ControlGroupCollector.readingName, log: log)
            add(ControlGroupCollector(proc: "/proc", root: "", failures: failures, pauses: own))
            pauses.append(own)
        }
        if configuration.threads {
            let own = configuration.pauses(of: ThreadCollector.readingName, log: log)
            let threads = ThreadCollector(
                proc: "/proc", failures: failures, pauses: own, time: time)
            add(threads)
            readings.append(threads.reading)
            pauses.append(own)
        }
        if let memory {
            add(memory)
            readings.append(memory.reading)
        }
        if configuration.executors, mayProbeExecutors() {
            let executors = ExecutorProbes.all(
                configuration.priorities, in: registry, time: time)
            add(ExecutorCollector(executors: executors))
            state.withLock { $0.probes = executors.map(\.probe) }
        }
        add(ReadingCollector(readings: readings, pauses: pauses))
        state.withLock { $0.readings = readings }
        addHooks()
    }

    /// Whether it is safe to enqueue work on Dispatch, which runs the executors.
    ///
    /// libdispatch looks up its busy workers in /proc, and ends the process if it cannot.
    private func mayProbeExecutors() -> Bool {
        #if os(Linux)
            let source = "self/stat"
            if unsafe access("/proc/\(source)", R_OK) == 0 { return true }
            failures.count(source, errno == EACCES ? .unreadable : .missing)
            log.reportOnce(
                .warning,
                "executors are not probed: /proc is unreadable, and libdispatch aborts a process whose workers it cannot find there"
            )
            return false
        #else
            return true
        #endif
    }

    private func addHooks() {
        if configuration.jobs {
            let jobs = JobCollector()
            if jobs.start() { add(jobs) }
        }
        if configuration.liveTasks {
            let tasks = TaskCollector()
            add(tasks)
            if let problem = tasks.start() {
                log.reportOnce(.warning, "live-task metrics are unavailable: \(problem)")
            }
        }
        if configuration.objectTypes {
            let types = ObjectTypeCollector()
            add(types)
            if let problem = types.start() {
                log.reportOnce(.warning, "object-type metrics are unavailable: \(problem)")
            }
        }
        if watchdog != nil, !ThreadStack.prepare() {
            log.reportOnce(
                .warning, "stalls will be reported without stacks: SIGPROF is in use by other code")
        }
    }

    // MARK: - Timer

    /// The interval of the timer: the probe interval, or less if the hang watch requires it.
    package var interval: Duration {
        let wanted = max(configuration.probeInterval, .milliseconds(1))
        return watchdog.map { min(wanted, max($0.threshold, .milliseconds(2))) } ?? wanted
    }

    /// Whether the timer has any work.
    private var hasTimerWork: Bool {
        configuration.threads || configuration.memory || watchdog != nil
            || state.withLock { !$0.probes.isEmpty }
    }

    /// Starts the timer; does nothing if it is already running or would have no work.
    public func start() {
        guard hasTimerWork else { return }
        let ending = Latch()
        let mayStart = state.withLock { state in
            guard !state.isRunning else { return false }
            state.isRunning = true
            state.ending = ending
            return true
        }
        guard mayStart else { return }
        let isStarted = DetachedThread.start(named: "outrider-beat") { [self] in tick(until: ending)
        }
        if !isStarted {
            state.withLock { $0.isRunning = false }
            log.reportOnce(.error, "cannot start the timer thread: executors will not be probed")
        }
    }

    /// Stops the timer; collectors keep reporting what they know.
    ///
    /// Event loops stop their own timers; register them again after another ``start()``.
    public func stop() {
        let (ending, probes) = state.withLock { state in
            defer { (state.ending, state.isRunning) = (nil, false) }
            return (state.ending, state.probes)
        }
        ending?.open()
        for probe in probes where probe.target.enqueue == nil { probe.retire() }
    }

    private func tick(until ending: Latch) {
        let (interval, time) = (interval, configuration.time)
        var next = time.now
        repeat {
            let (probes, readings) = state.withLock { state in
                state.probes.removeAll { $0.isRetired }
                return (state.probes, state.readings)
            }
            if Descriptors.areLeft {
                withWorkerSignalsOpen { for probe in probes { probe.send() } }
            }
            for probe in probes { probe.updateAge() }
            for reading in readings { reading.readIfDue(mayRunHere: true) }
            watchdog?.check(probes)
            // Ticks that were missed are not made up for.
            next = max(next + interval, time.now)
        } while !time.wait(for: ending, until: next)
    }

    // MARK: - Targets and stalls

    /// Sends a probe to `target` at each tick, unless it runs its own timer, and includes it in the
    /// hang watch.
    ///
    /// For event loops and executors of the service; the adapter `OutriderNIO` does this for NIO's.
    /// Retire the probe when the target shuts down.
    ///
    /// - Parameters:
    ///   - target: The target to probe.
    ///   - delay: Observes how long each job waited, in seconds.
    ///   - age: Set at each tick to the age of the outstanding probe, in seconds.
    @discardableResult
    public func watch(_ target: ProbeTarget, delay: Histogram, age: Gauge? = nil) -> Probe {
        let probe = Probe(target, delay: delay, age: age, time: configuration.time)
        state.withLock { $0.probes.append(probe) }
        start()
        return probe
    }

    /// The most recent stalls, the latest first; at most sixteen.
    public var stalls: [Stall] { watchdog?.stalls ?? [] }

    /// How many executors and event loops are probed.
    package var watchedTargets: Int { state.withLock { $0.probes.count } }

    /// Notices for operators: memory growth, and the last stalls.
    ///
    /// - Parameter includesFunctions: Whether notices may include the functions of a stall.
    public func notices(includesFunctions: Bool = true) -> [String] {
        [memory?.notice].compactMap { $0 }
            + stalls.prefix(3).map { includesFunctions ? $0.summary : $0.sentence }
    }
}
