// SPDX-License-Identifier: Apache-2.0
// Resident memory is parted without a rest that matters, and what grows is named.

import OutriderMetrics
import OutriderRuntime
import OutriderTesting
import Testing

@Suite struct MemoryPartsTests {
    private static func mapping(_ line: String, rss: Int) -> String {
        "\(line)\nSize:   10 kB\nRss:    \(rss) kB\nPss:  1 kB\nVmFlags: rd wr\n"
    }

    private static let text =
        mapping("55000000-55001000 r-xp 00000000 fe:01 12       /usr/bin/service", rss: 100)
        + mapping("55001000-55002000 rw-p 00001000 fe:01 12       /usr/bin/service", rss: 20)
        + mapping("55002000-55003000 rw-p 00000000 00:00 0 ", rss: 3)
        + mapping("56000000-56100000 rw-p 00000000 00:00 0        [heap]", rss: 1000)
        + mapping("7f0000000000-7f0000021000 rw-p 00000000 00:00 0 ", rss: 50)
        + mapping("7f0000021000-7f0004000000 ---p 00000000 00:00 0 ", rss: 0)
        + mapping("7f0010001000-7f0010002000 ---p 00000000 00:00 0 ", rss: 0)
        + mapping("7f0010002000-7f0010802000 rw-p 00000000 00:00 0 ", rss: 16)
        + mapping("7f0020003000-7f0020103000 rw-p 00000000 00:00 0 ", rss: 400)
        + mapping("7f0030000000-7f0030001000 rw-s 00000000 00:01 99   /dev/shm/x y", rss: 7)
        + mapping("7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0    [stack]", rss: 24)
        + mapping("7ffd00100000-7ffd00101000 r-xp 00000000 00:00 0    [vdso]", rss: 4)

    private func mappings(_ text: String) -> [Mapping]? {
        let bytes = Array(text.utf8)
        return MappingsText.mappings(bytes.span)
    }

    private func wholeMappings() throws -> [Mapping] {
        let found = mappings(Self.text)
        return try #require(found)
    }

    @Test func `each mapping is known for what it is`() throws {
        let mappings = try wholeMappings()
        let uses: [MappingUse] = [
            .file, .file, .file, .heap, .heap, .anonymous, .anonymous, .stack, .anonymous,
            .shared, .stack, .kernel,
        ]
        #expect(mappings.map(\.use) == uses)
        #expect(mappings.map(\.residentBytes).reduce(0, +) == 1624 << 10)
    }

    @Test func `the parts add up to all that is resident`() throws {
        let mappings = try wholeMappings()
        let allocator = AllocatorFigures(
            arena: 1050 << 10, mmapped: 380 << 10, usual: 800 << 10, free: 250 << 10)
        let parts = MemoryParts(mappings, allocator: allocator, liveBytes: nil)
        #expect(parts[.liveHeap] == 1180 << 10)
        #expect(parts[.allocatorSlack] == 250 << 10)
        #expect(parts[.stacks] == 40 << 10)
        #expect(parts[.mappedFiles] == 123 << 10)
        #expect(parts[.shared] == 7 << 10)
        #expect(parts[.rest] == 24 << 10)
        #expect(parts.total == 1624 << 10)
    }

    @Test func `the profiler's estimate goes before the allocator's word`() throws {
        let mappings = try wholeMappings()
        let allocator = AllocatorFigures(
            arena: 1050 << 10, mmapped: 380 << 10, usual: 800 << 10, free: 250 << 10)
        let parts = MemoryParts(mappings, allocator: allocator, liveBytes: 600 << 10)
        #expect(parts[.liveHeap] == 600 << 10)
        #expect(parts[.allocatorSlack] == 830 << 10)
        // More than there is cannot be in use.
        let most = MemoryParts(mappings, allocator: allocator, liveBytes: 1 << 40)
        #expect(most[.allocatorSlack] == 0 && most.total == 1624 << 10)
    }

    @Test func `a text that is cut anywhere tells nothing, or what is whole`() throws {
        let whole = try wholeMappings()
        let bytes = Array(Self.text.utf8)
        for count in 0..<bytes.count {
            let part = MappingsText.mappings(Array(bytes[..<count]).span)
            if let part { #expect(part == Array(whole.prefix(part.count))) }
        }
    }

    @Test(arguments: [
        "", "\n", "nonsense\n", "55000000-54000000 r-xp 0 fe:01 12 /a\nRss: 1 kB\n",
        "55000000-55001000 r-xp 0 fe:01 12 /a\nRss: 99999999999999999999 kB\n",
        "55000000-55001000 r-xp 0 fe:01 12 /a\nSize: 1 kB\n", "Rss: 1 kB\n",
        "ffffffffffffffffff-55001000 r-xp 0 fe:01 12 /a\nRss: 1 kB\n",
        "2000-3000 r-xp 0 fe:01 12 /a\nRss: 1 kB\n1000-2000 r-xp 0 fe:01 12 /a\nRss: 1 kB\n",
    ])
    func `what is no list of mappings is refused`(text: String) {
        #expect(mappings(text) == nil)
    }

    // MARK: - Growth

    private func growth(of part: MemoryParts.Part, by mebibytes: Int, minutes: Int) -> String? {
        var history = MemoryHistory()
        let start = ContinuousClock.now
        for minute in 0...minutes {
            var bytes: [MemoryParts.Part: Int] = [.mappedFiles: 30 << 20, .liveHeap: 100 << 20]
            bytes[part] = (100 << 20) + (mebibytes << 20) * minute / minutes
            history.note(MemoryParts(bytes), at: start + .seconds(60 * minute))
        }
        return history.notice
    }

    @Test func `a heap that grows is told from one that is fragmented`() throws {
        let leak = try #require(growth(of: .liveHeap, by: 200, minutes: 30))
        #expect(leak.contains("200 MiB in 30 minutes") && leak.contains("the live heap"))
        let fragments = try #require(growth(of: .allocatorSlack, by: 200, minutes: 30))
        #expect(fragments.contains("fragmentation"))
        #expect(try #require(growth(of: .stacks, by: 100, minutes: 20)).contains("stacks"))
    }

    @Test func `a start and small changes are nothing to speak of`() {
        #expect(growth(of: .liveHeap, by: 500, minutes: 5) == nil)
        #expect(growth(of: .liveHeap, by: 20, minutes: 60) == nil)
    }

    @Test func `history is an hour long and no longer`() throws {
        var history = MemoryHistory()
        let start = ContinuousClock.now
        for second in stride(from: 0, through: 7_200, by: 10) {
            history.note(MemoryParts([.liveHeap: second]), at: start + .seconds(second))
        }
        let growth = try #require(history.growth)
        #expect(growth.over <= .seconds(3_600) && growth.over >= .seconds(3_500))
        #expect(history.readings.count <= 63)
        #expect(abs((growth.parts[.liveHeap] ?? 0) - 3_600) < 100)
    }

    // MARK: - The real process

    @Test func `95 % of a process' memory has a name`() async {
        // In a process of its own, where nobody allocates between two looks.
        await #expect(processExitsWith: .success) {
            let block = [UInt8](repeating: 1, count: 32 << 20)
            let collector = MemoryCollector()
            collector.readNow()
            let registry = Registry(reportsItself: false)
            try registry.register(collector)
            let exposition = try registry.exposition()
            let parts = exposition.families.flatMap(\.samples).filter {
                $0.name == "process_memory_part_bytes"
            }
            let total = parts.map(\.value).reduce(0, +)
            let rest = try #require(
                exposition.value("process_memory_part_bytes", ["part": "rest"]))
            try #require(parts.count == 6)
            try #require(total > Double(block.count))
            try #require(rest < total * 0.05)
        }
    }
}
