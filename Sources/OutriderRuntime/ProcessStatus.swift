// SPDX-License-Identifier: Apache-2.0
// The line of `/proc/self/stat`, taken apart (proc_pid_stat(5)).

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
