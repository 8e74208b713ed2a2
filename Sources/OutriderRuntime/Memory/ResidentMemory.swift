// SPDX-License-Identifier: Apache-2.0
// Resident memory by use, from the process's mappings and page tables.
//
// `/proc/self/smaps` would return both at once. But the kernel walks all pages of a mapping in one
// `read(2)`, under the lock that each mmap(2), munmap(2) and many page faults wait for: 13 ms in a
// process of one gigabyte, unbounded in larger ones. For `maps` it holds that lock for a page of
// text, for `pagemap` for 2 MiB of memory at a time (`pagemap_read` in fs/proc/task_mmu.c of
// Linux): some 40 µs, however large the process is.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Reads the resident memory of each use.
///
/// Takes some 10 ms of CPU time per gigabyte of resident memory, 1 ms per gigabyte of empty
/// mappings, and 36 KiB of memory whatever the size of the process.
struct ResidentMemory: Sendable {
    /// The names of the sources.
    static let mapsSource = "self/maps"
    static let pagesSource = "self/pagemap"

    /// Bytes of text per read: as much as the kernel returns at once.
    private static let textPiece = 4 << 10
    /// More than the longest line: a path has up to 4,096 bytes, each of which may be written as
    /// four.
    private static let textRoom = 32 << 10
    /// Page table entries per read: 2 MiB of memory with pages of 4 KiB.
    private static let pagesPiece = 512
    /// Bit 63 of an entry: the page is present.
    private static let isPresent: UInt64 = 1 << 63
    /// Bit 58: the page is a guard that madvise(2) installed.
    ///
    /// Since Linux 6.15 (pagemap.rst of Linux). glibc 2.42 and later create the guards of stacks
    /// this way; `maps` does not show them.
    private static let isGuard: UInt64 = 1 << 58
    /// Mappings are not read if they exceed this size in total: an entry takes a nanosecond or
    /// more.
    private static let sizeLimit: UInt = 1 << 40

    private let proc: String
    private let pageSize: UInt
    private let pauses: ReadingPauses

    /// - Parameters:
    ///   - proc: The mount point of procfs; tests may pass their own directory tree.
    ///   - pauses: The pauses of the reading that this belongs to.
    init(proc: String, pauses: ReadingPauses) {
        self.proc = proc
        self.pauses = pauses
        pageSize = UInt(max(1, sysconf(Int32(_SC_PAGESIZE))))
    }

    /// A source, and why reading it failed.
    struct Problem: Error {
        let source: String
        let failure: SourceFailure
    }

    /// Returns resident bytes by use.
    ///
    /// Memory that the process may neither read nor write is excluded, as is device memory.
    func read() throws(Problem) -> [MappingUse: Int] {
        for source in [Self.mapsSource, Self.pagesSource] { try go(on: source) }
        let pages = try open(Self.pagesSource)
        var entries = [UInt64](repeating: 0, count: Self.pagesPiece)
        var sizes: [MappingUse: Int] = [:]
        var looked: UInt = 0
        try eachMapping { (mapping) throws(Problem) in
            guard mapping.isAccessible, mapping.use != .device else { return }
            looked = looked.addingReportingOverflow(mapping.end - mapping.start).partialValue
            guard looked <= Self.sizeLimit else {
                throw Problem(source: Self.pagesSource, failure: .tooLarge)
            }
            let bytes = try residentBytes(of: mapping, pages, &entries)
            // The kernel merges adjacent stacks; below the lowest one there may be other memory.
            let mayHaveStacks = mapping.use == .anonymous || mapping.use == .heap
            sizes[mapping.use, default: 0] += bytes.belowGuards
            sizes[mayHaveStacks ? .stack : mapping.use, default: 0] += bytes.aboveGuards
        }
        guard pages.isOwn else { throw Problem(source: Self.pagesSource, failure: .unreadable) }
        return sizes
    }

    /// Throws if a source is switched off.
    private func go(on source: String) throws(Problem) {
        if !pauses.mayRead(source) { throw Problem(source: source, failure: .switchedOff) }
    }

    private func open(_ source: String) throws(Problem) -> OpenFile {
        do {
            return try OpenFile("\(proc)/\(source)")
        } catch {
            throw Problem(source: source, failure: error)
        }
    }

    /// Calls `body` with each mapping, in order.
    private func eachMapping(_ body: (Mapping) throws(Problem) -> Void) throws(Problem) {
        let file = try open(Self.mapsSource)
        var reader = MappingsText()
        var text = [UInt8](repeating: 0, count: Self.textRoom)
        var (filled, offset) = (0, 0)
        while true {
            let count = pauses.measure(Self.mapsSource) {
                file.read(into: &text, from: filled, count: Self.textPiece, at: offset)
            }
            guard count >= 0 else {
                throw Problem(source: Self.mapsSource, failure: .unreadable)
            }
            try go(on: Self.mapsSource)
            if count == 0 { break }
            (filled, offset) = (filled + count, offset + count)
            let rest = try wholeLines(of: text.span.extracting(0..<filled), &reader, body)
            for index in rest..<filled { text[index - rest] = text[index] }
            filled -= rest
        }
        // No line, a line that is cut or too long, or another file.
        if offset == 0 || filled > 0 || !file.isOwn {
            throw Problem(source: Self.mapsSource, failure: .malformed)
        }
    }

    /// Passes complete lines on and returns the offset of the first incomplete one.
    private func wholeLines(
        of text: borrowing Span<UInt8>, _ reader: inout MappingsText,
        _ body: (Mapping) throws(Problem) -> Void
    ) throws(Problem) -> Int {
        var line = 0
        while let next = KernelText.nextLine(line, in: text) {
            guard let mapping = reader.mapping(at: line, in: text) else {
                throw Problem(source: Self.mapsSource, failure: .malformed)
            }
            try body(mapping)
            line = next
        }
        return line
    }

    /// Resident bytes of a mapping below its lowest guard (all of them if it has none) and above
    /// it.
    private func residentBytes(
        of mapping: Mapping, _ pages: borrowing OpenFile, _ entries: inout [UInt64]
    ) throws(Problem) -> (belowGuards: Int, aboveGuards: Int) {
        let entrySize = MemoryLayout<UInt64>.size
        var (page, present, below) = (mapping.start / pageSize, 0, nil as Int?)
        let end = mapping.end / pageSize
        while page < end {
            guard let offset = Int(exactly: page)?.multipliedReportingOverflow(by: entrySize),
                !offset.overflow
            else { break }
            let wanted = Int(min(end - page, UInt(Self.pagesPiece)))
            let count = pauses.measure(Self.pagesSource) {
                pages.read(into: &entries, count: wanted * entrySize, at: offset.partialValue)
            }
            guard count >= 0, count % entrySize == 0 else {
                throw Problem(source: Self.pagesSource, failure: .unreadable)
            }
            // Addresses at which no process has memory, such as the kernel's page for old system
            // calls.
            if count == 0 { break }
            for index in 0..<count / entrySize {
                let entry = entries[index]
                if entry & Self.isPresent != 0 {
                    present += 1
                } else if entry & Self.isGuard != 0, below == nil {
                    below = present
                }
            }
            page += UInt(count / entrySize)
            try go(on: Self.pagesSource)
        }
        let belowGuards = below ?? present
        return (belowGuards * Int(pageSize), (present - belowGuards) * Int(pageSize))
    }
}
