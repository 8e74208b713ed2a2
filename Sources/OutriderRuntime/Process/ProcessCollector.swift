// SPDX-License-Identifier: Apache-2.0
// Metrics of the process, with the names that all Prometheus clients use.
//
// Read at each scrape with a handful of system calls, some 40 µs in all (docs/performance.md). If a
// source is missing (no /proc, another system), only its metrics are missing.

public import OutriderMetrics
package import OutriderThreading

/// CPU, memory, threads, descriptors, faults, I/O and sockets of this process.
///
/// Register it once per registry; an agent does so. Thread-safe. Six procfs files stay open;
/// reading them does not allocate.
///
/// Names: "Process metrics" of the Prometheus client guidelines, and our additions in the same
/// style. `sockets` and metrics that start with `tcp_` cover the network namespace, including other
/// processes in it.
public struct ProcessCollector: Collector {
    static let readingName = "process"

    private let source: ProcessSource

    /// Creates a collector for this process.
    ///
    /// - Parameter proc: The mount point of procfs; tests may pass their own directory tree.
    ///   Metrics of missing files are left out. CPU time, faults, context switches and limits
    ///   always come from system calls.
    public init(proc: String = "/proc") {
        self.init(
            proc: proc, failures: SourceFailures(), pauses: ReadingPauses(of: Self.readingName))
    }

    /// The same, with failed reads counted in `failures`.
    package init(
        proc: String, failures: SourceFailures, pauses: ReadingPauses,
        time: any TimeSource = SystemTime()
    ) {
        source = ProcessSource(proc: proc, failures: failures, pauses: pauses, time: time)
    }

    /// `process`.
    public var name: String { "process" }

    private static let cpu = CollectedFamily.counter(
        "process_cpu_seconds_total", help: "User and system CPU time spent, in seconds.")
    private static let cpuByMode = CollectedFamily.counter(
        "process_cpu_mode_seconds_total",
        help: "CPU time spent, in seconds: in user mode (user) or in the kernel (system).",
        labels: ["mode"])
    private static let startTime = CollectedFamily.gauge(
        "process_start_time_seconds", help: "Start of the process, in seconds since the epoch.")
    private static let resident = CollectedFamily.gauge(
        "process_resident_memory_bytes", help: "Resident memory, in bytes.")
    private static let residentByKind = CollectedFamily.gauge(
        "process_resident_memory_kind_bytes",
        help: "Resident memory by kind, in bytes: anonymous, file or shared.", labels: ["kind"])
    private static let peak = CollectedFamily.gauge(
        "process_resident_memory_peak_bytes",
        help: "Peak resident memory, in bytes.")
    private static let swapped = CollectedFamily.gauge(
        "process_swap_bytes", help: "Swapped-out anonymous memory, in bytes.")
    private static let virtual = CollectedFamily.gauge(
        "process_virtual_memory_bytes", help: "Virtual memory, in bytes.")
    private static let virtualLimit = CollectedFamily.gauge(
        "process_virtual_memory_max_bytes", help: "Limit of virtual memory, in bytes.")
    private static let openDescriptors = CollectedFamily.gauge(
        "process_open_fds", help: "Open file descriptors.")
    private static let descriptorsAge = CollectedFamily.gauge(
        "process_open_fds_age_seconds",
        help: "Age of process_open_fds, in seconds; 0 where the kernel reports it directly.")
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
    private static let ioCalls = CollectedFamily.counter(
        "process_io_calls_total",
        help: "System calls that read or wrote, sockets and pipes included.",
        labels: ["direction"])
    private static let sockets = CollectedFamily.gauge(
        "sockets", help: "Sockets of the network namespace, by state; TCP and UDP are IPv4 only.",
        labels: ["state"])
    private static let overflows = CollectedFamily.counter(
        "tcp_listen_overflows_total",
        help: "Connections that found a listener's accept queue full, in the network namespace.")
    private static let drops = CollectedFamily.counter(
        "tcp_listen_drops_total",
        help: "Connections dropped before they were accepted, in the network namespace.")
    private static let retransmits = CollectedFamily.counter(
        "tcp_retransmits_total",
        help: "TCP segments retransmitted, in the network namespace.")

    /// All metric families; a family whose source is missing stays empty.
    public var families: [CollectedFamily] {
        [
            Self.cpu, Self.cpuByMode, Self.startTime, Self.resident, Self.residentByKind, Self.peak,
            Self.swapped, Self.virtual, Self.virtualLimit, Self.openDescriptors,
            Self.descriptorsAge, Self.descriptorLimit, Self.threads, Self.faults, Self.switches,
            Self.io, Self.ioCalls, Self.sockets, Self.overflows, Self.drops, Self.retransmits,
        ]
    }

    /// Reads the sources and adds their values.
    public func collect(into samples: inout CollectedSamples) {
        addUsage(to: &samples)
        addMemory(to: &samples)
        addDescriptors(to: &samples)
        addNetwork(to: &samples)
    }

    private func addUsage(to samples: inout CollectedSamples) {
        if let usage = source.usage() {
            samples.add(Self.cpu, usage.userSeconds + usage.systemSeconds)
            samples.add(Self.cpuByMode, usage.userSeconds, "user")
            samples.add(Self.cpuByMode, usage.systemSeconds, "system")
            samples.add(Self.faults, usage.minorFaults, "minor")
            samples.add(Self.faults, usage.majorFaults, "major")
            samples.add(Self.switches, usage.voluntarySwitches, "voluntary")
            samples.add(Self.switches, usage.involuntarySwitches, "involuntary")
        }
        if let io = source.io() {
            samples.add(Self.io, io.read, "read")
            samples.add(Self.io, io.written, "written")
            samples.add(Self.ioCalls, io.readCalls, "read")
            samples.add(Self.ioCalls, io.writeCalls, "written")
        }
    }

    private func addMemory(to samples: inout CollectedSamples) {
        if let status = source.status() {
            if let bytes = source.residentBytes(of: status) { samples.add(Self.resident, bytes) }
            samples.add(Self.virtual, status.virtualBytes)
            samples.add(Self.threads, status.threads)
            if let start = source.startSeconds(of: status) { samples.add(Self.startTime, start) }
        }
        if let memory = source.memory() {
            samples.add(Self.residentByKind, memory.anonymous, "anonymous")
            samples.add(Self.residentByKind, memory.file, "file")
            samples.add(Self.residentByKind, memory.shared, "shared")
            samples.add(Self.peak, memory.peak)
            samples.add(Self.swapped, memory.swapped)
        }
    }

    private func addDescriptors(to samples: inout CollectedSamples) {
        if let limits = source.limits() {
            samples.add(Self.descriptorLimit, limits.openFiles)
            samples.add(Self.virtualLimit, limits.addressSpace)
        }
        if let descriptors = source.openDescriptors() {
            samples.add(Self.openDescriptors, descriptors.count)
            samples.add(Self.descriptorsAge, descriptors.age)
        }
    }

    private func addNetwork(to samples: inout CollectedSamples) {
        if let sockets = source.sockets() {
            samples.add(Self.sockets, sockets.used, "used")
            samples.add(Self.sockets, sockets.tcp, "tcp_in_use")
            samples.add(Self.sockets, sockets.tcpOrphaned, "tcp_orphaned")
            samples.add(Self.sockets, sockets.tcpTimeWait, "tcp_time_wait")
            samples.add(Self.sockets, sockets.tcpAllocated, "tcp_allocated")
            samples.add(Self.sockets, sockets.udp, "udp_in_use")
        }
        if let losses = source.listenLosses() {
            samples.add(Self.overflows, losses.overflows)
            samples.add(Self.drops, losses.drops)
        }
        if let retransmits = source.retransmits() {
            samples.add(Self.retransmits, retransmits.segments)
        }
    }
}
