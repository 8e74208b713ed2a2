// SPDX-License-Identifier: Apache-2.0
// The sources of ProcessCollector: getrusage(2), getrlimit(2), stat(2) and /proc.

internal import OutriderMetrics
internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Process statistics from the kernel.
///
/// Thread-safe; a value is nil if its source is unavailable.
final class ProcessSource: Sendable {
    /// CPU time and events, from getrusage(2).
    struct Usage: Sendable {
        let userSeconds: Double
        let systemSeconds: Double
        let minorFaults: Int
        let majorFaults: Int
        let voluntarySwitches: Int
        let involuntarySwitches: Int
    }

    /// Limits, from getrlimit(2); infinite if there is none.
    struct Limits: Sendable {
        let openFiles: Double
        let addressSpace: Double
    }

    private let directory: String
    private let failures: SourceFailures
    private let pauses: ReadingPauses
    let pageSize: Int
    private let ticksPerSecond: Double
    private let bootSeconds: Double?
    /// Whether `directory` is a procfs, not the directory tree of a test.
    private let isProcfs: Bool
    private let statusFile: KernelFile
    private let memoryFile: KernelFile
    private let ioFile: KernelFile
    private let socketsFile: KernelFile
    private let netstatFile: KernelFile
    private let snmpFile: KernelFile
    /// The count of descriptors, for kernels that do not report it directly.
    private let countedDescriptors: BackgroundReading<Int>

    /// - Parameters:
    ///   - proc: The mount point of procfs; tests may pass their own directory tree.
    ///   - failures: Counts failed reads.
    ///   - pauses: The pauses of the reading `process`.
    ///   - time: The clock of background readings.
    init(
        proc: String, failures: SourceFailures, pauses: ReadingPauses, time: any TimeSource
    ) {
        directory = proc
        self.failures = failures
        self.pauses = pauses
        let isProcfs = Self.isProcfs(proc)
        self.isProcfs = isProcfs
        pageSize = max(1, sysconf(Int32(_SC_PAGESIZE)))
        ticksPerSecond = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        bootSeconds = Self.secondsAtBoot()
        func file(_ name: String, limit: Int = 4 << 10) -> KernelFile {
            KernelFile(
                proc, name, limit: limit, isKept: isProcfs, failures: failures, pauses: pauses)
        }
        statusFile = file("self/stat")
        memoryFile = file("self/status", limit: 8 << 10)
        ioFile = file("self/io")
        socketsFile = file("self/net/sockstat")
        netstatFile = file("self/net/netstat", limit: 16 << 10)
        snmpFile = file("self/net/snmp", limit: 8 << 10)
        countedDescriptors = BackgroundReading(
            named: "open_fds", atLeastEvery: .seconds(10), time: time
        ) {
            Self.countDescriptors(in: "\(proc)/self/fd", isProcfs: isProcfs)
        }
    }

    /// The boot time of the machine, in seconds since the epoch.
    ///
    /// Computed from two clocks; `/proc/stat` has it too, but after a line for every interrupt.
    private static func secondsAtBoot() -> Double? {
        #if os(Linux)
            func seconds(_ clock: clockid_t) -> Double? {
                var time = timespec()
                guard unsafe clock_gettime(clock, &time) == 0 else { return nil }
                return Double(time.tv_sec) + Double(time.tv_nsec) / 1_000_000_000
            }
            guard let now = seconds(CLOCK_REALTIME), let up = seconds(CLOCK_BOOTTIME) else {
                return nil
            }
            return ((now - up) * 100).rounded() / 100
        #else
            return nil
        #endif
    }

    /// Whether a procfs is mounted there: only in procfs is `self` a link (proc(5)).
    private static func isProcfs(_ path: String) -> Bool {
        var status = stat()
        return unsafe lstat("\(path)/self", &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    /// The kernel sums over all threads; before Linux 6.8 it does so under the process's signal
    /// lock.
    func usage() -> Usage? {
        guard pauses.mayRead("getrusage") else {
            failures.count("getrusage", .switchedOff)
            return nil
        }
        var usage = rusage()
        let failed = pauses.measure("getrusage") {
            #if canImport(Glibc)
                return unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) != 0
            #else
                return unsafe getrusage(RUSAGE_SELF, &usage) != 0
            #endif
        }
        if failed { return nil }
        func seconds(_ time: timeval) -> Double {
            (Double(time.tv_sec) * 1_000_000 + Double(time.tv_usec)) / 1_000_000
        }
        return Usage(
            userSeconds: seconds(usage.ru_utime), systemSeconds: seconds(usage.ru_stime),
            minorFaults: usage.ru_minflt, majorFaults: usage.ru_majflt,
            voluntarySwitches: usage.ru_nvcsw, involuntarySwitches: usage.ru_nivcsw)
    }

    func limits() -> Limits? {
        guard let files = ResourceLimit.openFiles.soft,
            let space = ResourceLimit.addressSpace.soft
        else { return nil }
        return Limits(openFiles: files, addressSpace: space)
    }

    func status() -> ProcessStatus? { statusFile.read { ProcessStatus($0) } }
    func memory() -> ProcessMemory? { memoryFile.read { ProcessMemory($0) } }
    func io() -> ProcessIO? { ioFile.read { ProcessIO($0) } }
    func sockets() -> SocketCounts? { socketsFile.read { SocketCounts($0) } }
    func listenLosses() -> ListenLosses? { netstatFile.read { ListenLosses($0) } }
    func retransmits() -> Retransmits? { snmpFile.read { Retransmits($0) } }

    /// Resident memory, in bytes; nil if it overflows an `Int`.
    func residentBytes(of status: ProcessStatus) -> Int? {
        let (bytes, overflows) = status.residentPages.multipliedReportingOverflow(by: pageSize)
        return overflows ? nil : bytes
    }

    /// The start time of the process, in seconds since the epoch, to a hundredth.
    func startSeconds(of status: ProcessStatus) -> Double? {
        bootSeconds.map { boot in
            ((boot + Double(status.startTicks) / ticksPerSecond) * 100).rounded() / 100
        }
    }

    /// Open file descriptors, and the age of that count in seconds.
    ///
    /// Since Linux 6.2, stat(2) of the directory returns the count directly. On older kernels the
    /// entries have to be counted, 0.7 ms per thousand, so that is done from time to time on a
    /// separate thread.
    func openDescriptors() -> (count: Int, age: Double)? {
        var status = stat()
        guard unsafe stat("\(directory)/self/fd", &status) == 0 else { return nil }
        if isProcfs && status.st_size > 0 { return (Int(status.st_size), 0) }
        guard let known = countedDescriptors.latestOrFirst() else { return nil }
        return (known.value, known.ageSeconds)
    }

    /// Outside procfs, the descriptor of this listing is not among the entries.
    private static func countDescriptors(in path: String, isProcfs: Bool) -> Int? {
        guard let listing = unsafe opendir(path) else { return nil }
        defer { unsafe closedir(listing) }
        var entries = 0
        while unsafe readdir(listing) != nil { entries += 1 }
        // Excludes ".", ".." and, in procfs, the descriptor of the listing itself.
        return max(0, entries - (isProcfs ? 3 : 2))
    }
}
