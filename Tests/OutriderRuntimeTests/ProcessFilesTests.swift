// SPDX-License-Identifier: Apache-2.0
// The process metrics over a /proc that a test has written.

import Glibc
import OutriderMetrics
import OutriderRuntime
import OutriderTesting
import Testing

@Suite struct ProcessFilesTests {
    /// The line of `self/stat`, with a name that could mislead.
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

    private let proc: FakeProc
    private let registry = Registry(reportsItself: false)

    init() throws {
        proc = try FakeProc([
            "self/stat": Self.stat, "self/io": Self.io, "self/fd/0": "", "self/fd/1": "",
            "self/fd/7": "",
        ])
        try registry.register(ProcessCollector(proc: proc.path))
    }

    @Test func `what the files tell is what is exposed`() throws {
        try registry.expect("process_threads", 7)
        try registry.expect("process_virtual_memory_bytes", 98_765_432)
        let pageSize = Double(sysconf(Int32(_SC_PAGESIZE)))
        try registry.expect("process_resident_memory_bytes", 321 * pageSize)
        try registry.expect("process_io_bytes_total", ["direction": "read"], 4096)
        try registry.expect("process_io_bytes_total", ["direction": "written"], 8192)
        try registry.expect("process_open_fds", 3)
    }

    @Test func `a file that goes takes its metrics with it, and brings them back`() throws {
        try proc.remove("self/io")
        #expect(registry.value("process_io_bytes_total", ["direction": "read"]) == nil)
        try registry.expect("process_threads", 7)
        try proc.write("self/io", Self.io.replacing("4096", with: "5000"))
        try registry.expect("process_io_bytes_total", ["direction": "read"], 5000)
    }

    @Test(arguments: ["", "42", "42 (x) S 1 2", "no process at all\n"])
    func `a file that says something else is left out`(stat: String) throws {
        try proc.write("self/stat", stat)
        #expect(registry.value("process_threads") == nil)
        try registry.expect("process_open_fds", 3)
    }

    @Test func `the names of the process metrics need no advice`() throws {
        #expect(try registry.namingAdvice() == [])
    }
}
