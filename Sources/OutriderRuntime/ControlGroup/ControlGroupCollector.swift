// SPDX-License-Identifier: Apache-2.0
// The limits of the process's control group, and their effects.

public import OutriderMetrics
internal import OutriderThreading

/// CPU, memory, processes and pressure of this process's control group; Linux only.
///
/// Supports version 1, version 2 and both combined. If a file is missing, its metrics are absent,
/// never zero. A limit is the lowest of the group and its ancestors, as far as they are mounted.
/// Read at each scrape. Thread-safe.
public struct ControlGroupCollector: Collector {
    private struct Known: Sendable {
        var memberships: [UInt8] = []
        var directories: ControlGroupDirectories?
    }

    private final class Box: Sendable {
        let known = Guarded(Known())
    }

    static let readingName = "cgroup"

    private let proc: String
    private let root: String
    private let failures: SourceFailures
    private let pauses: ReadingPauses
    private let box = Box()

    /// Creates a collector for the groups of this process.
    public init(proc: String = "/proc") {
        self.init(
            proc: proc, root: "", failures: SourceFailures(),
            pauses: ReadingPauses(of: Self.readingName))
    }

    /// The same with mount points below `root`, for directory trees of tests.
    package init(proc: String, root: String, failures: SourceFailures, pauses: ReadingPauses) {
        self.proc = proc
        self.root = root
        self.failures = failures
        self.pauses = pauses
    }

    /// `cgroup`.
    public var name: String { "cgroup" }

    private static let usage = CollectedFamily.counter(
        "cgroup_cpu_usage_seconds_total", help: "CPU time used by the control group, in seconds.")
    private static let periods = CollectedFamily.counter(
        "cgroup_cpu_periods_total", help: "Enforcement periods of the group's CPU limit.")
    private static let throttledPeriods = CollectedFamily.counter(
        "cgroup_cpu_throttled_periods_total",
        help: "Periods in which the group was throttled by its CPU limit.")
    private static let throttled = CollectedFamily.counter(
        "cgroup_cpu_throttled_seconds_total",
        help: "Time that the group was throttled, in seconds.")
    private static let cores = CollectedFamily.gauge(
        "cgroup_cpu_limit_cores", help: "CPU limit of the group, in cores.")
    private static let memory = CollectedFamily.gauge(
        "cgroup_memory_usage_bytes",
        help: "Memory used by the group, in bytes, including the page cache.")
    private static let memoryLimit = CollectedFamily.gauge(
        "cgroup_memory_limit_bytes", help: "Memory limit of the group, in bytes.")
    private static let swap = CollectedFamily.gauge(
        "cgroup_memory_swap_usage_bytes", help: "Swap used by the group, in bytes.")
    private static let events = CollectedFamily.counter(
        "cgroup_memory_events_total",
        help:
            "Memory events of the group: a limit reached (low, high, max), out of memory (oom), a "
            + "process killed (oom_kill).", labels: ["event"])
    private static let kinds = CollectedFamily.gauge(
        "cgroup_memory_kind_bytes", help: "Memory of the group by kind, in bytes.",
        labels: ["kind"])
    private static let processes = CollectedFamily.gauge(
        "cgroup_pids", help: "Processes and threads in the group.")
    private static let processLimit = CollectedFamily.gauge(
        "cgroup_pids_limit", help: "Maximum number of processes and threads in the group.")
    private static let pressure = CollectedFamily.counter(
        "cgroup_pressure_seconds_total",
        help: "Time that some or all (full) tasks of the group waited for a resource.",
        labels: ["resource", "kind"])

    /// All metric families; a family whose source is missing stays empty.
    public var families: [CollectedFamily] {
        [
            Self.usage, Self.periods, Self.throttledPeriods, Self.throttled, Self.cores,
            Self.memory,
            Self.memoryLimit, Self.swap, Self.events, Self.kinds, Self.processes,
            Self.processLimit, Self.pressure,
        ]
    }

    /// Reads the group's files and adds their values.
    public func collect(into samples: inout CollectedSamples) {
        guard let directories = directories() else { return }
        let reader = ControlGroupReader(
            directories: directories, failures: failures, pauses: pauses)
        if let cpu = reader.cpu() {
            if let seconds = cpu.usageSeconds { samples.add(Self.usage, seconds) }
            if let count = cpu.periods { samples.add(Self.periods, count) }
            if let count = cpu.throttledPeriods { samples.add(Self.throttledPeriods, count) }
            if let seconds = cpu.throttledSeconds { samples.add(Self.throttled, seconds) }
            if let cores = cpu.limitCores { samples.add(Self.cores, cores) }
        }
        if let memory = reader.memory() {
            if let bytes = memory.usage { samples.add(Self.memory, bytes) }
            if let bytes = memory.limit { samples.add(Self.memoryLimit, bytes) }
            if let bytes = memory.swap { samples.add(Self.swap, bytes) }
            for event in memory.events { samples.add(Self.events, event.count, event.name) }
            for kind in memory.kinds { samples.add(Self.kinds, kind.bytes, kind.name) }
        }
        if let processes = reader.processes() {
            if let count = processes.count { samples.add(Self.processes, count) }
            if let limit = processes.limit { samples.add(Self.processLimit, limit) }
        }
        for part in reader.pressure() {
            samples.add(Self.pressure, part.seconds, part.resource, part.kind)
        }
    }

    /// The directories of the groups; looked up again after the process has moved to other groups.
    private func directories() -> ControlGroupDirectories? {
        let memberships: [UInt8]
        switch ProcFile.read(
            "\(proc)/self/cgroup", source: "self/cgroup", pauses: pauses)
        {
        case .success(let text): memberships = text
        case .failure(let failure):
            failures.count("self/cgroup", failure)
            return nil
        }
        let known = box.known.withLock { $0 }
        if known.memberships == memberships, let directories = known.directories {
            return directories
        }
        // Not under the lock, because a fork(2) of the service waits for a held lock.
        let directories = find(memberships)
        box.known.withLock { $0 = Known(memberships: memberships, directories: directories) }
        return directories
    }

    private func find(_ text: [UInt8]) -> ControlGroupDirectories? {
        guard let memberships = GroupMembership.all(text) else {
            failures.count("self/cgroup", .malformed)
            return nil
        }
        switch ProcFile.read(
            "\(proc)/self/mountinfo", limit: 4 << 20, source: "self/mountinfo", pauses: pauses)
        {
        case .success(let mounts):
            return ControlGroupDirectories(memberships, GroupMount.all(mounts), root: root)
        case .failure(let failure):
            failures.count("self/mountinfo", failure)
            return nil
        }
    }
}
