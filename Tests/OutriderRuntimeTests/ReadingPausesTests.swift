// SPDX-License-Identifier: Apache-2.0
// Tests that no reading blocks the service's threads for long: a source that once did is switched
// off, and default sources are read in chunks whose size does not depend on the process.

import Glibc
import OutriderMetrics
import OutriderRuntime
import OutriderTesting
import OutriderThreading
import TestSupport
import Testing

/// A fake thread CPU clock, by which each measured call takes the time that a test defines.
private final class CallCosts: Sendable {
    private let state = Guarded((time: Duration.zero, looks: 0))
    private let cost: @Sendable (_ call: Int) -> Duration

    /// `cost` is called at the end of each measured call, with its ordinal from 1 on.
    init(_ cost: @escaping @Sendable (_ call: Int) -> Duration = { _ in .zero }) {
        self.cost = cost
    }

    /// The number of measured calls.
    var calls: Int { state.withLock { $0.looks / 2 } }

    /// The clock, read before and after each call.
    var now: Duration {
        let looks = state.withLock { state in
            state.looks += 1
            return state.looks
        }
        let passed = looks % 2 == 0 ? cost(looks / 2) : .zero
        return state.withLock { state in
            state.time += passed
            return state.time
        }
    }
}

@Suite struct ReadingPausesTests {
    private func file(
        _ name: String, _ proc: FakeProc, _ failures: SourceFailures, _ pauses: ReadingPauses
    ) -> KernelFile {
        KernelFile(proc.path, name, isKept: false, failures: failures, pauses: pauses)
    }

    @Test func `a source with too long a pause is switched off, and others are not`() throws {
        let proc = try FakeProc(["self/io": "1", "self/stat": "2"])
        let costs = CallCosts { call in
            call < 3 ? .milliseconds(5) : call == 3 ? .microseconds(7_300) : .zero
        }
        let failures = SourceFailures()
        let lines = Guarded<[String]>([])
        let log = DiagnosticLog { _, line in lines.withLock { $0.append(line) } }
        let pauses = ReadingPauses(of: "process", log: log) { costs.now }
        let slow = file("self/io", proc, failures, pauses)
        let quick = file("self/stat", proc, failures, pauses)
        func isRead(_ file: KernelFile) -> Bool { file.read { $0.count } == 1 }
        #expect(isRead(slow) && isRead(quick))
        #expect(pauses.longest == .milliseconds(5))
        // This pause is too long, but the value that was read is still used.
        #expect(isRead(slow))
        for _ in 0..<3 { #expect(!isRead(slow) && isRead(quick)) }
        #expect(costs.calls == 6)
        #expect(failures.count(of: "self/io", .switchedOff) == 3)
        #expect(failures.count(of: "self/stat", .switchedOff) == 0)
        #expect(pauses.longest == .microseconds(7_300))
        let said = lines.withLock { $0 }
        #expect(said.count == 1)
        #expect(said.first?.contains("self/io") == true && said.first?.contains("7.3 ms") == true)
    }

    @Test func `the longest pause of each reading is a metric from the start`() throws {
        let readings = ["process", "cgroup", "threads", "memory"]
        let name = "outrider_reading_longest_pause_seconds"
        for allocator in [false, true] {
            let registry = Registry(hasOwnMetrics: false)
            var configuration = RuntimeMonitor.Configuration()
            configuration.executors = false
            configuration.allocator = allocator
            configuration.threadTime = { .zero }
            let monitor = RuntimeMonitor(registry: registry, configuration: configuration)
            for reading in readings { try registry.expect(name, ["reading": reading], 0) }
            #expect(registry.value(name, ["reading": "allocator"]) == (allocator ? 0 : nil))
            monitor.stop()
        }
    }

    @Test func `the metrics of a switched-off source are absent, and its pause is shown`() throws {
        let registry = Registry(hasOwnMetrics: false)
        let costs = CallCosts { _ in .milliseconds(6) }
        var configuration = RuntimeMonitor.Configuration.disabled
        configuration.process = true
        configuration.threadTime = { costs.now }
        let log = DiagnosticLog { _, _ in }
        let monitor = RuntimeMonitor(registry: registry, configuration: configuration, log: log)
        #expect(registry.value("process_threads") != nil)
        #expect(registry.value("process_threads") == nil)
        #expect(registry.value("process_cpu_seconds_total") == nil)
        // From a call that holds no lock.
        #expect(registry.value("process_max_fds") != nil)
        for source in ["self/stat", "self/status", "getrusage"] {
            let labels = ["source": source, "reason": "switched_off"]
            let count = registry.value("outrider_source_failures_total", labels) ?? 0
            #expect(count >= 1, "\(source)")
        }
        try registry.expect(
            "outrider_reading_longest_pause_seconds", ["reading": "process"], 0.006)
        monitor.stop()
    }

    // MARK: - Memory

    private static let pageSize = sysconf(Int32(_SC_PAGESIZE))

    /// A procfs with one mapping of this many pages, of which every `step`th is present.
    private static func proc(pages: Int, every step: Int) throws -> FakeProc {
        var entries = [UInt64](repeating: 0, count: pages)
        for index in stride(from: 0, to: pages, by: step) { entries[index] = 1 << 63 }
        return try proc(entries, named: "[heap]")
    }

    /// A procfs with one mapping, from its pages' entries in the page table.
    private static func proc(_ entries: [UInt64], named name: String) throws -> FakeProc {
        let (start, pages) = (1 << 30 | 1 << 20, entries.count)
        let (first, end) = (start / pageSize, start + pages * pageSize)
        let range = "\(String(start, radix: 16))-\(String(end, radix: 16))"
        let proc = try FakeProc([
            "self/maps": "\(range) rw-p 00000000 00:00 0      \(name)\n", "self/pagemap": "",
        ])
        let file = unsafe open("\(proc.path)/self/pagemap", O_WRONLY)
        defer { close(file) }
        let size = pages * 8
        let written = unsafe entries.withUnsafeBytes {
            unsafe pwrite(file, $0.baseAddress, size, off_t(first * 8))
        }
        try #require(written == size)
        return proc
    }

    private static func parts(
        _ proc: String, failures: SourceFailures = SourceFailures(), costs: CallCosts
    ) -> [String: Double] {
        let collector = MemoryCollector(
            proc: proc, failures: failures,
            pauses: ReadingPauses(of: "memory", log: DiagnosticLog { _, _ in }) { costs.now },
            allocatorPauses: nil, liveBytes: { nil })
        collector.readNow()
        let registry = Registry(hasOwnMetrics: false)
        registry.add(collector)
        var parts: [String: Double] = [:]
        for part in ["heap", "stacks", "mapped_files", "shared", "rest"] {
            parts[part] = registry.value("process_memory_part_bytes", ["part": part])
        }
        return parts
    }

    @Test func `a call that reads memory covers no more of it in a larger process`() throws {
        for pages in [100, 100_000] {
            let proc = try Self.proc(pages: pages, every: 4)
            let costs = CallCosts()
            let parts = Self.parts(proc.path, costs: costs)
            #expect(parts["heap"] == Double(pages / 4 * Self.pageSize))
            // Two calls are for the list of mappings and its end.
            #expect(costs.calls == 2 + (pages + 511) / 512)
        }
    }

    // As in glibc 2.42 and Linux 6.15: two stacks that the kernel has merged with the mapping
    // below.
    @Test func `stacks are recognized by guard pages that the list does not show`() throws {
        let (present, guarded): (UInt64, UInt64) = (1 << 63, 1 << 62 | 1 << 58)
        let entries = [present, 0, guarded, 0, present, present, guarded, 0, 0, present]
        let joined = try Self.proc(entries, named: "")
        var parts = Self.parts(joined.path, costs: CallCosts())
        #expect(parts["stacks"] == Double(3 * Self.pageSize))
        #expect(parts["heap"] == Double(Self.pageSize))
        let first = try Self.proc(entries, named: "[stack]")
        parts = Self.parts(first.path, costs: CallCosts())
        #expect(parts["stacks"] == Double(4 * Self.pageSize))
        withExtendedLifetime((joined, first)) {}
    }

    @Test(arguments: [(1, "self/maps"), (3, "self/pagemap")])
    func `a memory reading ends with the call whose pause was too long`(
        slowCall: Int, source: String
    ) throws {
        let proc = try Self.proc(pages: 10_000, every: 1)
        let failures = SourceFailures()
        let costs = CallCosts { $0 == slowCall ? .milliseconds(6) : .zero }
        #expect(Self.parts(proc.path, failures: failures, costs: costs).isEmpty)
        #expect(costs.calls == slowCall)
        #expect(failures.count(of: source, .switchedOff) == 1)
    }

    @Test(arguments: ["", "\n", "1000-2000 rw-p 0 00:00 0", "nonsense\n"])
    func `a malformed list of mappings is skipped and counted`(maps: String) throws {
        let proc = try FakeProc(["self/maps": maps, "self/pagemap": ""])
        let failures = SourceFailures()
        let costs = CallCosts()
        #expect(Self.parts(proc.path, failures: failures, costs: costs).isEmpty)
        #expect(failures.count(of: "self/maps", .malformed) == 1)
        try proc.remove("self/pagemap")
        #expect(Self.parts(proc.path, failures: failures, costs: costs).isEmpty)
        #expect(failures.count(of: "self/pagemap", .missing) == 1)
    }

    @Test func `mappings too large to read are skipped and counted`() throws {
        let proc = try FakeProc([
            "self/maps": "1000000000-f00000000000 rw-p 00000000 00:00 0\n", "self/pagemap": "",
        ])
        let failures = SourceFailures()
        #expect(Self.parts(proc.path, failures: failures, costs: CallCosts()).isEmpty)
        #expect(failures.count(of: "self/pagemap", .tooLarge) == 1)
    }

    @Test func `a service that closes the library's descriptors keeps the files it opens there`()
        async
    {
        await #expect(processExitsWith: .success) {
            // Larger than one call reads, so that the service interferes halfway.
            let proc = try ReadingPausesTests.proc(pages: 10_000, every: 1)
            let (failures, path) = (SourceFailures(), proc.path)
            let costs = CallCosts { call in
                guard call == 3 else { return .zero }
                for descriptor in Int32(3)..<100 { close(descriptor) }
                for _ in 0..<50 { _ = unsafe open("/dev/null", O_RDONLY) }
                return .zero
            }
            let parts = ReadingPausesTests.parts(path, failures: failures, costs: costs)
            try #require(parts.isEmpty)
            for descriptor in Int32(3)..<53 { try #require(fcntl(descriptor, F_GETFD) >= 0) }
        }
    }

    // MARK: - Real processes

    /// The peak resident memory, in bytes.
    private static func peak() throws -> Int {
        let file = KernelFile(
            "/proc", "self/status", isKept: false, failures: SourceFailures(),
            pauses: ReadingPauses(of: "test"))
        return try #require(file.read { ProcessMemory($0)?.peak })
    }

    /// Maps this many pages with alternating permissions; returns whether that worked.
    private static func makeMappings(_ count: Int) -> Bool {
        let region = unsafe mmap(
            nil, count * pageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let pages = unsafe region, unsafe pages != MAP_FAILED else { return false }
        return stride(from: 0, to: count, by: 2).allSatisfy { index in
            unsafe mprotect(pages + index * pageSize, pageSize, PROT_READ) == 0
        }
    }

    @Test func `a process with 50,000 mappings is read without memory for all of them`() async {
        await #expect(processExitsWith: .success) {
            try #require(ReadingPausesTests.makeMappings(50_000))
            let collector = MemoryCollector()
            let before = try ReadingPausesTests.peak()
            collector.readNow()
            let after = try ReadingPausesTests.peak()
            try #require(after - before < 4 << 20)
        }
    }

    /// Allocates 180 MB in small blocks and frees every other one, which leaves a past peak.
    private static func passPeak() {
        let count = 600_000
        let blocks = unsafe (0..<count).map { unsafe malloc(150 + $0 % 300) }
        for index in stride(from: 0, to: count, by: 2) {
            unsafe free(blocks[index * 7_919 % count])
        }
    }

    @Test func `a large heap is not walked unless the service asks for it`() async {
        // In a separate process, whose heap no other test uses.
        await #expect(processExitsWith: .success) {
            ReadingPausesTests.passPeak()
            let asked = ReadingPauses(of: "allocator", log: DiagnosticLog { _, _ in })
            let registry = Registry(hasOwnMetrics: false)
            func read(_ allocator: ReadingPauses?) -> Duration {
                let collector = MemoryCollector(
                    proc: "/proc", failures: SourceFailures(), pauses: ReadingPauses(of: "memory"),
                    allocatorPauses: allocator, liveBytes: { nil })
                registry.unregister("memory")
                registry.add(collector)
                let start = threadTime()
                collector.readNow()
                return threadTime() - start
            }
            let control = read(asked)
            // After one pause that was too long there is no other.
            let isTooLong = asked.longest > ReadingPauses.limit
            try #require((registry.value("malloc_arena_bytes") == nil) == isTooLong)
            try #require(asked.longest > .zero)
            let byDefault = read(nil)
            try #require(byDefault * 2 < control, "\(byDefault), \(control)")
            try #require(registry.value("malloc_arena_bytes") == nil)
            try #require(registry.value("process_memory_part_bytes", ["part": "heap"]) != nil)
        }
    }
}
