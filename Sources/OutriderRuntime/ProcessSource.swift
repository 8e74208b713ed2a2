// SPDX-License-Identifier: Apache-2.0
// Where the numbers of ProcessCollector come from: getrusage(2), getrlimit(2), stat(2) and /proc.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The kernel's account of this process.
///
/// Thread-safe; every value is nil where its source is not.
package struct ProcessSource: Sendable {
    /// CPU time and events, from getrusage(2).
    struct Usage: Sendable {
        let cpuSeconds: Double
        let minorFaults: Int
        let majorFaults: Int
        let voluntarySwitches: Int
        let involuntarySwitches: Int
    }

    /// Limits, from getrlimit(2); infinite where there is none.
    struct Limits: Sendable {
        let openFiles: Double
        let addressSpace: Double
    }

    private let directory: String
    private let pageSize: Int
    private let ticksPerSecond: Double
    private let bootSeconds: Double?
    /// Whether `directory` is what the kernel tells, and no tree of a test.
    private let isProcfs: Bool

    /// - Parameter proc: Where procfs is mounted; a test may give a tree of its own.
    init(proc: String) {
        directory = proc
        isProcfs = Self.isProcfs(proc)
        pageSize = max(1, sysconf(Int32(_SC_PAGESIZE)))
        ticksPerSecond = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        bootSeconds = Self.secondsAtBoot()
    }

    /// When the machine booted, in seconds since the epoch.
    ///
    /// The difference of two clocks; `/proc/stat` has it too, but behind a line for every interrupt.
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

    /// Whether a procfs is mounted there: only there, `self` is a link (proc(5)).
    private static func isProcfs(_ path: String) -> Bool {
        var status = stat()
        return unsafe lstat("\(path)/self", &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    func usage() -> Usage? {
        var usage = rusage()
        #if canImport(Glibc)
            let failed = unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) != 0
        #else
            let failed = unsafe getrusage(RUSAGE_SELF, &usage) != 0
        #endif
        if failed { return nil }
        func microseconds(_ time: timeval) -> Double {
            Double(time.tv_sec) * 1_000_000 + Double(time.tv_usec)
        }
        return Usage(
            cpuSeconds: (microseconds(usage.ru_utime) + microseconds(usage.ru_stime)) / 1_000_000,
            minorFaults: usage.ru_minflt, majorFaults: usage.ru_majflt,
            voluntarySwitches: usage.ru_nvcsw, involuntarySwitches: usage.ru_nivcsw)
    }

    func limits() -> Limits? {
        guard let files = limit(.openFiles), let space = limit(.addressSpace) else { return nil }
        return Limits(openFiles: files, addressSpace: space)
    }

    /// `/proc/self/stat` (proc_pid_stat(5)).
    func status() -> ProcessStatus? {
        ProcFile.read("\(directory)/self/stat").flatMap {
            ProcessStatus(stat: $0, pageSize: pageSize)
        }
    }

    /// When the process started, in seconds since the epoch, to a hundredth.
    func startSeconds(of status: ProcessStatus) -> Double? {
        bootSeconds.map { boot in
            ((boot + Double(status.startTicks) / ticksPerSecond) * 100).rounded() / 100
        }
    }

    /// Open file descriptors, without those of this very look.
    ///
    /// Since Linux 6.2 stat(2) of the directory tells the number at once. Before, the entries have
    /// to be counted: 0.7 ms for each thousand. In other file systems the size means another thing,
    /// and the descriptor of this look is not among the entries.
    func openDescriptors() -> Int? {
        let path = "\(directory)/self/fd"
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        if isProcfs && status.st_size > 0 { return Int(status.st_size) }
        guard let listing = unsafe opendir(path) else { return nil }
        defer { unsafe closedir(listing) }
        var entries = 0
        while unsafe readdir(listing) != nil { entries += 1 }
        // Neither ".", ".." nor, in a procfs, the descriptor of the listing itself.
        return max(0, entries - (isProcfs ? 3 : 2))
    }

    /// Bytes that went from and to storage, from `/proc/self/io` (proc_pid_io(5)).
    func io() -> (read: Int, written: Int)? {
        guard let text = ProcFile.read("\(directory)/self/io"),
            let read = ProcFile.number(after: "\nread_bytes: ", in: text),
            let written = ProcFile.number(after: "\nwrite_bytes: ", in: text)
        else { return nil }
        return (read, written)
    }

    private enum Resource { case openFiles, addressSpace }

    private func limit(_ resource: Resource) -> Double? {
        var limit = rlimit()
        #if canImport(Glibc)
            let number = Int32((resource == .openFiles ? RLIMIT_NOFILE : RLIMIT_AS).rawValue)
        #else
            let number = resource == .openFiles ? RLIMIT_NOFILE : RLIMIT_AS
        #endif
        guard unsafe getrlimit(number, &limit) == 0 else { return nil }
        return limit.rlim_cur == rlim_t.max ? .infinity : Double(limit.rlim_cur)
    }
}
