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

    /// - Parameter proc: Where procfs is mounted; a test may give a tree of its own.
    package init(proc: String = "/proc") {
        directory = proc
        pageSize = max(1, sysconf(Int32(_SC_PAGESIZE)))
        ticksPerSecond = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        bootSeconds = ProcFile.read("\(proc)/stat").flatMap {
            ProcFile.number(after: "\nbtime ", in: $0).map(Double.init)
        }
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
        bootSeconds.map { $0 + Double(status.startTicks) / ticksPerSecond }
    }

    /// Open file descriptors, without those of this very look.
    ///
    /// Since Linux 6.2 stat(2) of the directory tells the number at once. Before, the entries have
    /// to be counted: 0.7 ms for each thousand.
    func openDescriptors() -> Int? {
        let path = "\(directory)/self/fd"
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        if status.st_size > 0 { return Int(status.st_size) }
        guard let listing = unsafe opendir(path) else { return nil }
        defer { unsafe closedir(listing) }
        var entries = 0
        while unsafe readdir(listing) != nil { entries += 1 }
        // Neither ".", ".." nor the descriptor of the listing itself.
        return max(0, entries - 3)
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

/// What `/proc/self/stat` tells.
package struct ProcessStatus: Sendable, Equatable {
    /// Threads of the process; field 20, `num_threads`.
    package let threads: Int
    /// Start after boot, in clock ticks; field 22, `starttime`.
    package let startTicks: Int
    /// Size of the address space; field 23, `vsize`.
    package let virtualBytes: Int
    /// Resident memory; field 24, `rss`, in pages there.
    package let residentBytes: Int

    /// Reads the one line of the file; nil if it is not what the man page says.
    package init?(stat line: [UInt8], pageSize: Int) {
        // The second field is the name in parentheses and may hold anything, parentheses too.
        guard let close = line.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = line[(close + 1)...].split(separator: UInt8(ascii: " "))
        func field(_ number: Int) -> Int? {
            let index = number - 3
            guard fields.indices.contains(index) else { return nil }
            return Int(String(decoding: fields[index], as: UTF8.self))
        }
        guard let threads = field(20), let start = field(22), let size = field(23),
            let pages = field(24)
        else { return nil }
        let (resident, overflow) = pages.multipliedReportingOverflow(by: pageSize)
        if overflow { return nil }
        self.threads = threads
        startTicks = start
        virtualBytes = size
        residentBytes = resident
    }
}

/// Small files of procfs, read whole.
enum ProcFile {
    /// More than any file that is read here has; what is beyond is left unread.
    private static let limit = 16 << 10

    /// The file's content; nil if it cannot be opened or read.
    static func read(_ path: String) -> [UInt8]? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var failed = false
        let content = unsafe [UInt8](unsafeUninitializedCapacity: limit) { memory, count in
            while count < memory.count {
                // SAFETY: read(2) writes at most what is left of the memory.
                let part = unsafe systemRead(
                    descriptor, memory.baseAddress.map { unsafe $0 + count }, memory.count - count)
                if part < 0 && errno == EINTR { continue }
                failed = part < 0
                if part <= 0 { break }
                count += part
            }
        }
        return failed ? nil : content
    }

    /// The number that follows `key`; nil if it is not there.
    static func number(after key: String, in text: [UInt8]) -> Int? {
        let key = Array(key.utf8)
        guard text.count > key.count else { return nil }
        for start in 0..<(text.count - key.count) where text[start..<start + key.count] == key[...]
        {
            let digits = text[(start + key.count)...].prefix { (0x30...0x39).contains($0) }
            return Int(String(decoding: digits, as: UTF8.self))
        }
        return nil
    }
}

private func systemRead(_ descriptor: Int32, _ place: UnsafeMutablePointer<UInt8>?, _ size: Int)
    -> Int
{
    unsafe read(descriptor, place, size)
}
