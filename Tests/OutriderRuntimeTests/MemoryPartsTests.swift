// SPDX-License-Identifier: Apache-2.0
// Tests of the parts of resident memory: they leave little unexplained, and growth is attributed.

import OutriderMetrics
import OutriderRuntime
import OutriderTesting
import Testing

@Suite struct MemoryPartsTests {
    private static let text = """
        55000000-55001000 r-xp 00000000 fe:01 12       /usr/bin/service
        55001000-55002000 rw-p 00001000 fe:01 12       /usr/bin/service
        55002000-55003000 rw-p 00000000 00:00 0 
        56000000-56100000 rw-p 00000000 00:00 0        [heap]
        7f0000000000-7f0000021000 rw-p 00000000 00:00 0 
        7f0000021000-7f0004000000 ---p 00000000 00:00 0 
        7f0010001000-7f0010002000 ---p 00000000 00:00 0 
        7f0010002000-7f0010802000 rw-p 00000000 00:00 0 
        7f0020003000-7f0020103000 rw-p 00000000 00:00 0 
        7f0030000000-7f0030001000 rw-s 00000000 00:01 99   /dev/shm/x y
        7f0030002000-7f0030003000 rw-s 00000000 00:06 7    /dev/uio0
        7f0030200000-7f0030400000 rw-s 00000000 00:0f 8    /anon_hugepage (deleted)
        7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0    [stack]
        7ffd00100000-7ffd00101000 r-xp 00000000 00:00 0    [vdso]

        """
    private static let uses: [MappingUse] = [
        .file, .file, .file, .heap, .heap, .anonymous, .anonymous, .stack, .anonymous, .shared,
        .device, .device, .stack, .kernel,
    ]

    /// The mappings up to the first invalid line, and whether that was the end.
    private func mappings(_ text: some Sequence<UInt8>) -> (found: [Mapping], isWhole: Bool) {
        let bytes = Array(text)
        var (reader, found, line) = (MappingsText(), [Mapping](), 0)
        for size in bytes.split(separator: 10, omittingEmptySubsequences: false).map(\.count) {
            guard let mapping = reader.mapping(at: line, in: bytes.span) else { break }
            found.append(mapping)
            line += size + 1
        }
        return (found, !found.isEmpty && line == bytes.count)
    }

    @Test func `each mapping is classified by its use`() {
        let (found, isWhole) = mappings(Self.text.utf8)
        #expect(isWhole)
        #expect(found.map(\.use) == Self.uses)
        #expect(found.count { !$0.isAccessible } == 2)
        #expect(found.map { $0.end - $0.start }.prefix(4) == [0x1000, 0x1000, 0x1000, 0x100000])
    }

    @Test func `a mapping that grows while the list is read is counted once`() {
        let (found, isWhole) = mappings(
            """
            1000-3000 rw-p 00000000 00:00 0 
            1000-7000 rw-p 00000000 00:00 0 
            8000-9000 rw-p 00000000 00:00 0 

            """.utf8)
        #expect(isWhole)
        #expect(
            found.map { $0.start..<$0.end } == [0x1000..<0x3000, 0x3000..<0x7000, 0x8000..<0x9000])
    }

    private static let resident: [MappingUse: Int] = [
        .file: 123 << 10, .heap: 1050 << 10, .stack: 40 << 10, .anonymous: 400 << 10,
        .shared: 7 << 10, .kernel: 4 << 10,
    ]
    private static let allocator = AllocatorUsage(
        arena: 1050 << 10, mmapped: 380 << 10, usual: 800 << 10, free: 250 << 10)

    @Test func `the parts add up to all resident memory`() {
        let parts = MemoryParts(Self.resident, allocator: Self.allocator, liveBytes: nil)
        #expect(parts[.liveHeap] == 1180 << 10)
        #expect(parts[.allocatorSlack] == 250 << 10)
        #expect(parts[.heap] == nil)
        #expect(parts[.stacks] == 40 << 10)
        #expect(parts[.mappedFiles] == 123 << 10)
        #expect(parts[.shared] == 7 << 10)
        #expect(parts[.rest] == 24 << 10)
        #expect(parts.total == 1624 << 10)
    }

    @Test func `the profiler's estimate takes precedence over the allocator's reading`() {
        let parts = MemoryParts(Self.resident, allocator: Self.allocator, liveBytes: 600 << 10)
        #expect(parts[.liveHeap] == 600 << 10)
        #expect(parts[.allocatorSlack] == 830 << 10)
        // Live memory is at most all of the heap.
        let most = MemoryParts(Self.resident, allocator: Self.allocator, liveBytes: 1 << 40)
        #expect(most[.allocatorSlack] == 0 && most.total == 1624 << 10)
    }

    @Test func `a heap without a reading of live memory is one part`() {
        let parts = MemoryParts(Self.resident, allocator: nil, liveBytes: nil)
        #expect(parts[.heap] == 1450 << 10)
        #expect(parts[.liveHeap] == nil && parts[.allocatorSlack] == nil)
        #expect(parts[.rest] == 4 << 10)
        #expect(parts.total == 1624 << 10)
    }

    @Test func `a list truncated anywhere yields its complete lines`() {
        let (whole, _) = mappings(Self.text.utf8)
        let bytes = Array(Self.text.utf8)
        for count in 0..<bytes.count {
            let (part, isWhole) = mappings(bytes[..<count])
            #expect(part == Array(whole.prefix(part.count)))
            #expect(isWhole == (count > 0 && bytes[count - 1] == 10))
        }
    }

    @Test(arguments: [
        "", "\n", "nonsense\n", "55000000-54000000 r-xp 0 fe:01 12 /a\n",
        "55000000-55001000 r-xp 0 fe:01 12", "55000000-55001000 r-xp 0 fe:01 x /a\n",
        "ffffffffffffffffff-55001000 r-xp 0 fe:01 12 /a\n", "Rss: 1 kB\n",
        "2000-3000 r-xp 0 fe:01 12 /a\n1000-2000 r-xp 0 fe:01 12 /a\n",
    ])
    func `an invalid list of mappings is refused`(text: String) {
        #expect(!mappings(text.utf8).isWhole)
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

    @Test func `a growing heap is distinguished from a fragmented one`() throws {
        let leak = try #require(growth(of: .liveHeap, by: 200, minutes: 30))
        #expect(leak.contains("200 MiB in 30 minutes") && leak.contains("the live heap"))
        let fragments = try #require(growth(of: .allocatorSlack, by: 200, minutes: 30))
        #expect(fragments.contains("fragmentation"))
        #expect(try #require(growth(of: .stacks, by: 100, minutes: 20)).contains("stacks"))
    }

    @Test func `a start and small changes give no notice`() {
        #expect(growth(of: .liveHeap, by: 500, minutes: 5) == nil)
        #expect(growth(of: .liveHeap, by: 20, minutes: 60) == nil)
    }

    @Test func `the history covers one hour`() throws {
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

    @Test func `a heap that is split into parts later has not grown by that`() {
        var history = MemoryHistory()
        let start = ContinuousClock.now
        for minute in 0...30 {
            let size = (100 << 20) + (minute << 20)
            let sizes: [MemoryParts.Part: Int] =
                minute < 15 ? [.heap: size] : [.liveHeap: size / 2, .allocatorSlack: size / 2]
            history.note(MemoryParts(sizes), at: start + .seconds(60 * minute))
        }
        #expect(history.growth?.parts[.liveHeap] == (15 << 20) / 2)
        #expect(history.growth?.parts[.heap] == nil)
    }

    // MARK: - The real process

    /// Requires that at most 5 % of this process is unexplained; nothing else allocates between the
    /// two reads.
    private static func requireNames(readsAllocator: Bool, parts count: Int) throws {
        let block = [UInt8](repeating: 1, count: 32 << 20)
        let collector = MemoryCollector(readsAllocator: readsAllocator)
        collector.readNow()
        let registry = Registry(hasOwnMetrics: false)
        try registry.register(collector)
        let exposition = try registry.exposition()
        let parts = exposition.families.flatMap(\.samples).filter {
            $0.name == "process_memory_part_bytes"
        }
        let total = parts.map(\.value).reduce(0, +)
        let rest = try #require(exposition.value("process_memory_part_bytes", ["part": "rest"]))
        try #require(parts.count == count)
        try #require(total > Double(block.count))
        try #require(rest < total * 0.05)
    }

    @Test func `95 % of a process's memory is attributed`() async {
        await #expect(processExitsWith: .success) {
            try MemoryPartsTests.requireNames(readsAllocator: false, parts: 5)
        }
    }

    @Test func `95 % of a process's memory is attributed with allocator readings`() async {
        await #expect(processExitsWith: .success) {
            try MemoryPartsTests.requireNames(readsAllocator: true, parts: 6)
        }
    }
}
