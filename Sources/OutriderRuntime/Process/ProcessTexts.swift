// SPDX-License-Identifier: Apache-2.0
// Parsers for the files of `/proc` about a process (proc_pid_stat(5) and related pages).
//
// No imports, so that a fuzzer can be built from this file and KernelText.swift.

/// `/proc/PID/stat` of a process or of one of its threads.
package struct ProcessStatus: Sendable, Equatable {
    /// CPU time in user mode, in clock ticks; field 14.
    package let userTicks: Int
    /// CPU time in kernel mode, in clock ticks; field 15.
    package let systemTicks: Int
    /// Threads of the process; field 20, `num_threads`.
    package let threads: Int
    /// Start after boot, in clock ticks; field 22, `starttime`.
    package let startTicks: Int
    /// Size of the address space; field 23, `vsize`.
    package let virtualBytes: Int
    /// Resident memory, in pages; field 24, `rss`.
    package let residentPages: Int

    /// Parses the file's single line; nil if it does not match the man page.
    package init?(_ line: borrowing Span<UInt8>) {
        // The second field is the name in parentheses, which may contain anything, including
        // parentheses.
        var close = line.count - 1
        while close >= 0, line[close] != UInt8(ascii: ")") { close -= 1 }
        guard close >= 0 else { return nil }
        var values = (user: 0, system: 0, threads: 0, start: 0, size: 0, pages: 0)
        var position = close + 1
        for number in 3...24 {
            position = KernelText.skipBlanks(position, in: line)
            let end = KernelText.fieldEnd(position, in: line)
            guard end > position else { return nil }
            switch number {
            case 14, 15, 20, 22, 23, 24:
                guard let value = KernelText.number(position, in: line) else { return nil }
                switch number {
                case 14: values.user = value
                case 15: values.system = value
                case 20: values.threads = value
                case 22: values.start = value
                case 23: values.size = value
                default: values.pages = value
                }
            default: break
            }
            position = end
        }
        (userTicks, systemTicks) = (values.user, values.system)
        (threads, startTicks) = (values.threads, values.start)
        (virtualBytes, residentPages) = (values.size, values.pages)
    }
}

/// The memory values of `/proc/self/status`, in bytes (proc_pid_status(5)).
package struct ProcessMemory: Sendable, Equatable {
    /// `VmHWM`: peak resident memory.
    package let peak: Int
    /// `RssAnon`.
    package let anonymous: Int
    /// `RssFile`.
    package let file: Int
    /// `RssShmem`.
    package let shared: Int
    /// `VmSwap`.
    package let swapped: Int

    /// Parses the file; nil if it does not match the man page.
    package init?(_ text: borrowing Span<UInt8>) {
        guard let peak = Self.bytes("VmHWM:", text), let anonymous = Self.bytes("RssAnon:", text),
            let file = Self.bytes("RssFile:", text), let shared = Self.bytes("RssShmem:", text),
            let swapped = Self.bytes("VmSwap:", text)
        else { return nil }
        (self.peak, self.anonymous, self.file) = (peak, anonymous, file)
        (self.shared, self.swapped) = (shared, swapped)
    }

    private static func bytes(_ key: StaticString, _ text: borrowing Span<UInt8>) -> Int? {
        guard let kilobytes = KernelText.value(key, in: text) else { return nil }
        let (bytes, overflows) = kilobytes.multipliedReportingOverflow(by: 1024)
        return overflows ? nil : bytes
    }
}

/// The contents of `/proc/self/io` (proc_pid_io(5)).
package struct ProcessIO: Sendable, Equatable {
    /// `read_bytes`: bytes read from storage.
    package let read: Int
    /// `write_bytes`: bytes written to storage.
    package let written: Int
    /// `syscr`: read system calls, from any source.
    package let readCalls: Int
    /// `syscw`: write system calls.
    package let writeCalls: Int

    /// Parses the file; nil if it does not match the man page.
    package init?(_ text: borrowing Span<UInt8>) {
        guard let read = KernelText.value("read_bytes:", in: text),
            let written = KernelText.value("write_bytes:", in: text),
            let readCalls = KernelText.value("syscr:", in: text),
            let writeCalls = KernelText.value("syscw:", in: text)
        else { return nil }
        (self.read, self.written) = (read, written)
        (self.readCalls, self.writeCalls) = (readCalls, writeCalls)
    }
}

/// The contents of `/proc/net/sockstat`: sockets of the network namespace.
package struct SocketCounts: Sendable, Equatable {
    /// All sockets.
    package let used: Int
    /// TCP over IPv4, in use.
    package let tcp: Int
    /// TCP sockets that no longer belong to a process.
    package let tcpOrphaned: Int
    /// TCP sockets that wait for late packets.
    package let tcpTimeWait: Int
    /// TCP sockets of any kind that occupy memory.
    package let tcpAllocated: Int
    /// UDP over IPv4, in use.
    package let udp: Int

    /// Parses the file; nil if it does not have the format used since Linux 2.6.
    package init?(_ text: borrowing Span<UInt8>) {
        guard let used = KernelText.pair("used", onLine: "sockets:", in: text),
            let tcp = KernelText.pair("inuse", onLine: "TCP:", in: text),
            let orphaned = KernelText.pair("orphan", onLine: "TCP:", in: text),
            let timeWait = KernelText.pair("tw", onLine: "TCP:", in: text),
            let allocated = KernelText.pair("alloc", onLine: "TCP:", in: text),
            let udp = KernelText.pair("inuse", onLine: "UDP:", in: text)
        else { return nil }
        (self.used, self.tcp, tcpOrphaned) = (used, tcp, orphaned)
        (tcpTimeWait, tcpAllocated, self.udp) = (timeWait, allocated, udp)
    }
}

/// The listen queue counters of `/proc/net/netstat`.
package struct ListenLosses: Sendable, Equatable {
    /// `ListenOverflows`: connections dropped because the queue of a listener was full.
    package let overflows: Int
    /// `ListenDrops`: all dropped connections, for that or another reason.
    package let drops: Int

    /// Parses the file; nil if the columns are missing.
    package init?(_ text: borrowing Span<UInt8>) {
        guard var columns = KernelText.Columns(of: "TcpExt:", in: text) else { return nil }
        var overflows: Int?
        var drops: Int?
        while overflows == nil || drops == nil {
            guard let (name, value) = columns.next(in: text) else { return nil }
            if KernelText.equals("ListenOverflows", name, in: text) {
                overflows = KernelText.number(value, in: text)
            } else if KernelText.equals("ListenDrops", name, in: text) {
                drops = KernelText.number(value, in: text)
            }
        }
        guard let overflows, let drops else { return nil }
        (self.overflows, self.drops) = (overflows, drops)
    }
}

/// The TCP retransmission counter of `/proc/net/snmp`.
package struct Retransmits: Sendable, Equatable {
    /// `RetransSegs`.
    package let segments: Int

    /// Parses the file; nil if the column is missing.
    package init?(_ text: borrowing Span<UInt8>) {
        guard var columns = KernelText.Columns(of: "Tcp:", in: text) else { return nil }
        while let (name, value) = columns.next(in: text) {
            guard KernelText.equals("RetransSegs", name, in: text) else { continue }
            guard let segments = KernelText.number(value, in: text) else { return nil }
            self.segments = segments
            return
        }
        return nil
    }
}

/// The run-queue delay of a thread: field 2 of `/proc/PID/schedstat` (Documentation/scheduler).
package struct SchedulerDelay: Sendable, Equatable {
    /// Nanoseconds spent ready to run and waiting for a processor.
    package let nanoseconds: Int

    /// Parses the file's single line; nil if it is not three numbers.
    package init?(_ text: borrowing Span<UInt8>) {
        guard KernelText.number(0, in: text) != nil else { return nil }
        let second = KernelText.skipBlanks(KernelText.fieldEnd(0, in: text), in: text)
        guard let nanoseconds = KernelText.number(second, in: text) else { return nil }
        let third = KernelText.skipBlanks(KernelText.fieldEnd(second, in: text), in: text)
        guard KernelText.number(third, in: text) != nil else { return nil }
        self.nanoseconds = nanoseconds
    }
}
