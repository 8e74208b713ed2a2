// SPDX-License-Identifier: Apache-2.0
// Tests of the process metrics with a fake /proc.

import Glibc
import OutriderMetrics
import OutriderRuntime
import OutriderTesting
import OutriderThreading
import TestSupport
import Testing

@Suite struct ProcessFilesTests {
    /// The line of `self/stat`, with a misleading name.
    private static let stat =
        "42 (a) S 1 (b) S 1 10 10 0 -1 4194304 100 0 0 0 5 6 0 0 20 0 7 0 12345 98765432 321 "
        + "18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n"

    private static let io = """
        rchar: 10
        wchar: 20
        syscr: 1
        syscw: 2
        read_bytes: 4096
        write_bytes: 8192
        cancelled_write_bytes: 0

        """

    private static let status = """
        Name:\tx
        VmPeak:\t  900 kB
        VmHWM:\t   10 kB
        VmRSS:\t    9 kB
        RssAnon:\t    4 kB
        RssFile:\t    3 kB
        RssShmem:\t    2 kB
        VmSwap:\t    1 kB

        """

    private static let sockstat = """
        sockets: used 290
        TCP: inuse 4 orphan 1 tw 2 alloc 6 mem 3
        UDP: inuse 5 mem 2
        UDPLITE: inuse 0

        """

    private static let netstat = """
        TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPHPHits
        TcpExt: 0 17 19 5
        IpExt: InNoRoutes
        IpExt: 3

        """

    private static let snmp = """
        Ip: Forwarding DefaultTTL
        Ip: 2 64
        Tcp: RtoAlgorithm MaxConn RetransSegs InErrs
        Tcp: 1 -1 23 0
        TcpMib: RetransSegs
        TcpMib: 99

        """

    private static let files = [
        "self/stat": stat, "self/io": io, "self/status": status, "self/net/sockstat": sockstat,
        "self/net/netstat": netstat, "self/net/snmp": snmp, "self/fd/0": "", "self/fd/1": "",
        "self/fd/7": "",
    ]

    private let proc: FakeProc
    private let failures = SourceFailures()
    private let registry = Registry(hasOwnMetrics: false)

    init() throws {
        proc = try FakeProc(Self.files)
        try registry.register(
            ProcessCollector(
                proc: proc.path, failures: failures, pauses: ReadingPauses(of: "process")))
    }

    @Test func `the exposed values are those in the files`() throws {
        try registry.expect("process_threads", 7)
        try registry.expect("process_virtual_memory_bytes", 98_765_432)
        let pageSize = Double(sysconf(Int32(_SC_PAGESIZE)))
        try registry.expect("process_resident_memory_bytes", 321 * pageSize)
        try registry.expect("process_io_bytes_total", ["direction": "read"], 4096)
        try registry.expect("process_io_bytes_total", ["direction": "written"], 8192)
        try registry.expect("process_open_fds", 3)
        for (kind, kilobytes) in [("anonymous", 4.0), ("file", 3), ("shared", 2)] {
            try registry.expect(
                "process_resident_memory_kind_bytes", ["kind": kind], kilobytes * 1024)
        }
        try registry.expect("process_resident_memory_peak_bytes", 10_240)
        try registry.expect("process_swap_bytes", 1_024)
        try registry.expect("process_io_calls_total", ["direction": "written"], 2)
        for (state, count) in [
            ("used", 290.0), ("tcp_in_use", 4), ("tcp_orphaned", 1), ("tcp_time_wait", 2),
            ("tcp_allocated", 6), ("udp_in_use", 5),
        ] {
            try registry.expect("sockets", ["state": state], count)
        }
        try registry.expect("tcp_listen_overflows_total", 17)
        try registry.expect("tcp_listen_drops_total", 19)
        try registry.expect("tcp_retransmits_total", 23)
    }

    @Test(arguments: [
        ("self/status", "process_swap_bytes"), ("self/net/sockstat", "sockets"),
        ("self/net/netstat", "tcp_listen_drops_total"), ("self/net/snmp", "tcp_retransmits_total"),
        ("self/io", "process_io_calls_total"), ("self/stat", "process_threads"),
    ])
    func `the metrics of a missing, truncated, malformed or huge file are absent`(
        file: String, family: String
    ) throws {
        let whole = try #require(Self.files[file])
        try proc.remove(file)
        #expect(!registry.text().contains("\n\(family)"))
        #expect(failures.count(of: file, .missing) == 1)
        try proc.write(file, String(whole.prefix(whole.utf8.count / 3)))
        #expect(!registry.text().contains("\n\(family)"))
        try proc.write(file, "\u{0}\u{FF} nothing of the kind\n")
        #expect(!registry.text().contains("\n\(family)"))
        #expect(failures.count(of: file, .malformed) == 2)
        try proc.write(file, whole + String(repeating: "x", count: 100_000))
        #expect(!registry.text().contains("\n\(family)"))
        #expect(failures.count(of: file, .tooLarge) == 1)
        try proc.write(file, whole)
        #expect(registry.text().contains("\n\(family)"))
    }

    @Test func `a service that closes every descriptor does not break the metrics`() async {
        await #expect(processExitsWith: .success) {
            let registry = Registry(hasOwnMetrics: false)
            try registry.register(ProcessCollector())
            let before = registry.value("process_threads")
            // As a daemon does when it starts. Other files then reuse the descriptors.
            for descriptor in Int32(3)..<200 { close(descriptor) }
            for _ in 0..<50 { _ = unsafe open("/dev/null", O_RDONLY) }
            exit(before != nil && registry.value("process_threads") != nil ? 0 : 1)
        }
    }

    @Test func `a forked child reports itself instead of its parent`() async {
        await #expect(processExitsWith: .success) {
            let file = KernelFile(
                "/proc", "self/stat", isKept: true, failures: SourceFailures(),
                pauses: ReadingPauses(of: "process"))
            let latch = Latch()
            // More threads than a forked child, which has only the forking thread.
            for _ in 0..<20 { _ = DetachedThread.start { _ = latch.wait(for: .seconds(60)) } }
            guard let parent = file.read({ ProcessStatus($0)?.threads }), parent > 20 else {
                exit(1)
            }
            let status = inForkedChild {
                if file.read({ ProcessStatus($0)?.threads }) != 1 { _exit(2) }
            }
            latch.open()
            exit(status)
        }
    }

    @Test func `a file's metrics disappear and return with it`() throws {
        try proc.remove("self/io")
        #expect(registry.value("process_io_bytes_total", ["direction": "read"]) == nil)
        try registry.expect("process_threads", 7)
        try proc.write("self/io", Self.io.replacing("4096", with: "5000"))
        try registry.expect("process_io_bytes_total", ["direction": "read"], 5000)
    }

    @Test(arguments: ["", "42", "42 (x) S 1 2", "no process at all\n"])
    func `the metrics of a malformed file are absent`(stat: String) throws {
        try proc.write("self/stat", stat)
        #expect(registry.value("process_threads") == nil)
        try registry.expect("process_open_fds", 3)
    }

    @Test func `the names of the process metrics need no advice`() throws {
        #expect(try registry.namingAdvice() == [])
    }
}
