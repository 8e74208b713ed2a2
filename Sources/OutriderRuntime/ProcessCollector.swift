// SPDX-License-Identifier: Apache-2.0
// The process as the kernel sees it, under the names that every Prometheus client uses.
//
// Read at each scrape: a handful of system calls, some 40 µs in all (docs/performance.md). A source
// that is not there (no /proc, another system) leaves its metrics out and harms nothing else.

public import OutriderMetrics

/// CPU, memory, threads, descriptors, faults and I/O of this process.
///
/// Register it once in a registry; an agent does. Thread-safe.
///
/// Names: "Process metrics" of the Prometheus client guidelines, and additions of ours in the same
/// manner (`process_threads`, `process_page_faults_total`, `process_context_switches_total`,
/// `process_io_bytes_total`).
public struct ProcessCollector: Collector {
    private let source: ProcessSource

    /// A collector for this process.
    ///
    /// - Parameter proc: Where procfs is mounted; a test may give a tree of its own. What it does
    ///   not have is left out. CPU time, faults, context switches and limits come from system
    ///   calls, whatever this says.
    public init(proc: String = "/proc") {
        source = ProcessSource(proc: proc)
    }

    /// `process`.
    public var name: String { "process" }

    private static let cpu = CollectedFamily.counter(
        "process_cpu_seconds_total", help: "User and system CPU time spent, in seconds.")
    private static let startTime = CollectedFamily.gauge(
        "process_start_time_seconds", help: "Start of the process, in seconds since the epoch.")
    private static let resident = CollectedFamily.gauge(
        "process_resident_memory_bytes", help: "Resident memory, in bytes.")
    private static let virtual = CollectedFamily.gauge(
        "process_virtual_memory_bytes", help: "Virtual memory, in bytes.")
    private static let virtualLimit = CollectedFamily.gauge(
        "process_virtual_memory_max_bytes", help: "Limit of virtual memory, in bytes.")
    private static let openDescriptors = CollectedFamily.gauge(
        "process_open_fds", help: "Open file descriptors.")
    private static let descriptorLimit = CollectedFamily.gauge(
        "process_max_fds", help: "Limit of open file descriptors.")
    private static let threads = CollectedFamily.gauge("process_threads", help: "Threads.")
    private static let faults = CollectedFamily.counter(
        "process_page_faults_total", help: "Page faults; major ones read from disk.",
        labels: ["kind"])
    private static let switches = CollectedFamily.counter(
        "process_context_switches_total",
        help: "Context switches: the process waited (voluntary) or was preempted (involuntary).",
        labels: ["kind"])
    private static let io = CollectedFamily.counter(
        "process_io_bytes_total", help: "Bytes read from and written to storage.",
        labels: ["direction"])

    /// Every family that is filled, as far as its source is there.
    public var families: [CollectedFamily] {
        [
            Self.cpu, Self.startTime, Self.resident, Self.virtual, Self.virtualLimit,
            Self.openDescriptors, Self.descriptorLimit, Self.threads, Self.faults, Self.switches,
            Self.io,
        ]
    }

    /// Reads the sources and adds what they tell.
    public func collect(into samples: inout CollectedSamples) {
        if let usage = source.usage() {
            samples.add(Self.cpu, usage.cpuSeconds)
            samples.add(Self.faults, usage.minorFaults, "minor")
            samples.add(Self.faults, usage.majorFaults, "major")
            samples.add(Self.switches, usage.voluntarySwitches, "voluntary")
            samples.add(Self.switches, usage.involuntarySwitches, "involuntary")
        }
        if let status = source.status() {
            samples.add(Self.resident, status.residentBytes)
            samples.add(Self.virtual, status.virtualBytes)
            samples.add(Self.threads, status.threads)
            if let start = source.startSeconds(of: status) { samples.add(Self.startTime, start) }
        }
        if let limits = source.limits() {
            samples.add(Self.descriptorLimit, limits.openFiles)
            samples.add(Self.virtualLimit, limits.addressSpace)
        }
        if let count = source.openDescriptors() { samples.add(Self.openDescriptors, count) }
        if let io = source.io() {
            samples.add(Self.io, io.read, "read")
            samples.add(Self.io, io.written, "written")
        }
    }
}
