// SPDX-License-Identifier: Apache-2.0
// Tests of the process metrics: their official names, and their agreement with the kernel.

import Glibc
import OutriderMetrics
import OutriderRuntime
import TestSupport
import Testing

/// The value of a sample in a text exposition.
private func value(of sample: String, in text: String) -> Double? {
    text.split(separator: "\n").first { $0.hasPrefix(sample + " ") }
        .flatMap { Double($0.dropFirst(sample.count + 1)) }
}

@Suite struct ProcessCollectorTests {
    private let text: String

    init() throws {
        let registry = Registry(hasOwnMetrics: false)
        try registry.register(ProcessCollector())
        text = registry.text()
    }

    @Test func `every family is exposed under its name and type`() {
        let types = text.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }
        #expect(
            types == [
                "# TYPE process_context_switches_total counter",
                "# TYPE process_cpu_mode_seconds_total counter",
                "# TYPE process_cpu_seconds_total counter",
                "# TYPE process_io_bytes_total counter",
                "# TYPE process_io_calls_total counter", "# TYPE process_max_fds gauge",
                "# TYPE process_open_fds gauge", "# TYPE process_open_fds_age_seconds gauge",
                "# TYPE process_page_faults_total counter",
                "# TYPE process_resident_memory_bytes gauge",
                "# TYPE process_resident_memory_kind_bytes gauge",
                "# TYPE process_resident_memory_peak_bytes gauge",
                "# TYPE process_start_time_seconds gauge", "# TYPE process_swap_bytes gauge",
                "# TYPE process_threads gauge", "# TYPE process_virtual_memory_bytes gauge",
                "# TYPE process_virtual_memory_max_bytes gauge", "# TYPE sockets gauge",
                "# TYPE tcp_listen_drops_total counter",
                "# TYPE tcp_listen_overflows_total counter",
                "# TYPE tcp_retransmits_total counter",
            ])
    }

    @Test func `the start time is between boot and now`() throws {
        let start = try #require(value(of: "process_start_time_seconds", in: text))
        let now = Double(time(nil))
        #expect(start <= now + 1)
        #expect(start > now - 86_400, "a test process does not run for a day")
    }

    @Test func `the descriptor limit is the one from getrlimit`() throws {
        var limit = rlimit()
        #expect(unsafe getrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit) == 0)
        #expect(value(of: "process_max_fds", in: text) == Double(limit.rlim_cur))
    }

    @Test func `an unlimited virtual memory is +Inf`() throws {
        var limit = rlimit()
        #expect(unsafe getrlimit(Int32(RLIMIT_AS.rawValue), &limit) == 0)
        let shown = value(of: "process_virtual_memory_max_bytes", in: text)
        #expect(shown == (limit.rlim_cur == rlim_t.max ? .infinity : Double(limit.rlim_cur)))
    }

    @Test func `resident memory grows by what is touched`() async {
        // In a separate process, where no other test frees memory.
        await #expect(processExitsWith: .success) {
            let registry = Registry(hasOwnMetrics: false)
            try registry.register(ProcessCollector())
            let name = "process_resident_memory_bytes"
            let before = try #require(value(of: name, in: registry.text()))
            let size = 256 << 20
            let block = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 4096)
            defer { unsafe block.deallocate() }
            unsafe block.initializeMemory(as: UInt8.self, repeating: 1, count: size)
            let after = try #require(value(of: name, in: registry.text()))
            // The kernel may count a few pages per thread late.
            try #require(after - before > Double(size) * 0.9)
        }
    }

    @Test func `context switches and faults are counted by kind`() {
        for sample in [
            #"process_context_switches_total{kind="involuntary"}"#,
            #"process_context_switches_total{kind="voluntary"}"#,
            #"process_page_faults_total{kind="major"}"#,
            #"process_page_faults_total{kind="minor"}"#,
            #"process_io_bytes_total{direction="read"}"#,
            #"process_io_bytes_total{direction="written"}"#,
            #"process_io_calls_total{direction="read"}"#,
            #"process_cpu_mode_seconds_total{mode="system"}"#,
            #"process_resident_memory_kind_bytes{kind="anonymous"}"#,
            #"sockets{state="tcp_time_wait"}"#,
        ] {
            #expect(value(of: sample, in: text) != nil, "\(sample)")
        }
    }

    @Test func `open descriptors are counted exactly`() async {
        // In a separate process, since other tests open and close descriptors. The runner's own may
        // still come and go, so the counts are compared until they agree.
        await #expect(processExitsWith: .success) {
            let registry = Registry(hasOwnMetrics: false)
            try registry.register(ProcessCollector())
            func agrees() -> Bool {
                // The listing has ".", ".." and its own descriptor.
                let listed = Holdings.now().descriptors - 3
                return value(of: "process_open_fds", in: registry.text()) == Double(listed)
            }
            guard eventually({ agrees() }) else { exit(1) }
            for _ in 0..<500 { _ = unsafe open("/dev/null", O_RDONLY) }
            exit(eventually { agrees() } && Holdings.now().descriptors > 500 ? 0 : 2)
        }
    }

    @Test func `without /proc, other metrics are still exposed`() throws {
        let registry = Registry(hasOwnMetrics: false)
        try registry.register(ProcessCollector(proc: "/nonexistent"))
        let text = registry.text()
        #expect(value(of: "process_cpu_seconds_total", in: text) != nil)
        #expect(value(of: "process_max_fds", in: text) != nil)
        #expect(!text.contains("process_resident_memory_bytes"))
        #expect(!text.contains("process_open_fds"))
    }
}

@Suite struct ProcessStatusTests {
    private static let tail =
        "S 1 10 10 0 -1 4194304 100 0 0 0 5 6 0 0 20 0 7 0 12345 98765432 321 "
        + "18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0"

    private func status(_ line: String) -> ProcessStatus? {
        let bytes = Array(line.utf8)
        return ProcessStatus(bytes.span)
    }

    @Test(arguments: ["service", "a b", "a) S 1 (b", "", ")"])
    func `a process may have any name`(name: String) throws {
        let line = Array("42 (\(name)) \(Self.tail)".utf8)
        let found = ProcessStatus(line.span)
        let status = try #require(found)
        #expect(status.threads == 7)
        #expect(status.startTicks == 12345)
        #expect(status.virtualBytes == 98_765_432)
        #expect(status.residentPages == 321)
        #expect(status.userTicks == 5 && status.systemTicks == 6)
    }

    @Test(arguments: [
        "", "42", "42 (x)", "42 (x) S 1 2 3", "42 (x) S " + String(repeating: "y ", count: 40),
    ])
    func `an invalid line is refused`(line: String) {
        #expect(status(line) == nil)
    }

    @Test func `numbers out of range are refused`() {
        let tail = Self.tail.replacing("321", with: "9223372036854775808")
        #expect(status("42 (x) \(tail)") == nil)
    }

    @Test func `a line truncated anywhere yields no value`() {
        let line = "42 (x) \(Self.tail)"
        let needed = line.split(separator: " ").prefix(24).joined(separator: " ")
        for count in 0...needed.count { #expect(status(String(line.prefix(count))) == nil) }
        #expect(status(String(line.prefix(needed.count + 1))) != nil)
    }
}
