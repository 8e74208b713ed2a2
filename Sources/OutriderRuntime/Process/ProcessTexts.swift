// SPDX-License-Identifier: Apache-2.0
// The files of `/proc` that tell of a process, taken apart (proc_pid_stat(5) and the pages beside it).
//
// No imports, so that a fuzzer can be built of this file and KernelText.swift.

/// What `/proc/PID/stat` tells, of a process or of one of its threads.
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

    /// Reads the one line of the file; nil if it is not what the man page says.
    package init?(_ line: borrowing Span<UInt8>) {
        // The second field is the name in parentheses and may hold anything, parentheses too.
        var close = line.count - 1
        while close >= 0, line[close] != UInt8(ascii: ")") { close -= 1 }
        guard close >= 0 else { return nil }
        var values = (user: 0, system: 0, threads: 0, start: 0, size: 0, pages: 0)
        var place = close + 1
        for number in 3...24 {
            place = KernelText.skipBlanks(place, in: line)
            let end = KernelText.fieldEnd(place, in: line)
            guard end > place else { return nil }
            switch number {
            case 14, 15, 20, 22, 23, 24:
                guard let value = KernelText.number(place, in: line) else { return nil }
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
            place = end
        }
        (userTicks, systemTicks) = (values.user, values.system)
        (threads, startTicks) = (values.threads, values.start)
        (virtualBytes, residentPages) = (values.size, values.pages)
    }
}

/// What `/proc/self/status` tells of memory, in bytes (proc_pid_status(5)).
package struct ProcessMemory: Sendable, Equatable {
    /// `VmHWM`: the most that was ever resident.
    package let peak: Int
    /// `RssAnon`.
    package let anonymous: Int
    /// `RssFile`.
    package let file: Int
    /// `RssShmem`.
    package let shared: Int
    /// `VmSwap`.
    package let swapped: Int

    /// Reads the file; nil if it is not what the man page says.
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

/// What `/proc/self/io` tells (proc_pid_io(5)).
package struct ProcessIO: Sendable, Equatable {
    /// `read_bytes`: bytes that came from storage.
    package let read: Int
    /// `write_bytes`: bytes that went to storage.
    package let written: Int
    /// `syscr`: system calls that read, whatever from.
    package let readCalls: Int
    /// `syscw`: system calls that wrote.
    package let writeCalls: Int

    /// Reads the file; nil if it is not what the man page says.
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

/// What `/proc/net/sockstat` tells: sockets of the network namespace.
package struct SocketCounts: Sendable, Equatable {
    /// All of them.
    package let used: Int
    /// TCP over IPv4, in use.
    package let tcp: Int
    /// TCP of which no process knows any more.
    package let tcpOrphaned: Int
    /// TCP that waits for late packets.
    package let tcpTimeWait: Int
    /// TCP of any kind that memory is kept for.
    package let tcpAllocated: Int
    /// UDP over IPv4, in use.
    package let udp: Int

    /// Reads the file; nil if it is not what it was since Linux 2.6.
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

/// What `/proc/net/netstat` tells of connections that nobody accepted.
package struct ListenLosses: Sendable, Equatable {
    /// `ListenOverflows`: the queue of a listener was full.
    package let overflows: Int
    /// `ListenDrops`: all connections that were dropped, for that or another reason.
    package let drops: Int

    /// Reads the file; nil if it has no such columns.
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

/// What `/proc/net/snmp` tells of segments that were sent again.
package struct Retransmits: Sendable, Equatable {
    /// `RetransSegs`.
    package let segments: Int

    /// Reads the file; nil if it has no such column.
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

/// What `/proc/PID/schedstat` tells of a thread: field 2 (scheduler statistics, Documentation/scheduler).
package struct SchedulerDelay: Sendable, Equatable {
    /// Nanoseconds that it was ready to run and waited for a processor.
    package let nanoseconds: Int

    /// Reads the one line of the file; nil if it is not three numbers.
    package init?(_ text: borrowing Span<UInt8>) {
        guard KernelText.number(0, in: text) != nil else { return nil }
        let second = KernelText.skipBlanks(KernelText.fieldEnd(0, in: text), in: text)
        guard let nanoseconds = KernelText.number(second, in: text) else { return nil }
        let third = KernelText.skipBlanks(KernelText.fieldEnd(second, in: text), in: text)
        guard KernelText.number(third, in: text) != nil else { return nil }
        self.nanoseconds = nanoseconds
    }
}
