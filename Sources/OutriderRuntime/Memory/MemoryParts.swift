// SPDX-License-Identifier: Apache-2.0
// The composition of resident memory and its growth, to distinguish a leak from fragmentation.
//
//     resident = live heap + allocator slack + stacks + mapped files + shared + rest
//     resident = heap                        + stacks + mapped files + shared + rest
//
// The kernel reports the resident memory of each mapping. How much of the heap is in use comes from
// the heap profiler's samples, or from the allocator if enabled. The rest of the heap is slack:
// freed blocks, headers, a past peak. Without either source, the heap is one part.

/// Resident memory in parts, in bytes.
package struct MemoryParts: Sendable, Equatable {
    /// The parts, with their label values.
    package enum Part: String, CaseIterable, Sendable {
        /// Blocks allocated and not freed.
        case liveHeap = "live_heap"
        /// All other memory of the allocator.
        case allocatorSlack = "allocator_slack"
        /// Both together, if neither a profiler nor the allocator distinguishes them.
        case heap
        /// Stacks of threads.
        case stacks
        /// Programs, libraries and other files.
        case mappedFiles = "mapped_files"
        /// Shared memory.
        case shared
        /// Memory of unknown use.
        case rest
    }

    private var sizes: [Part: Int] = [:]

    /// The size of a part; nil if it is not distinguished from others.
    package subscript(_ part: Part) -> Int? { sizes[part] }

    /// Whether both distinguish the same parts.
    package func hasSameParts(as other: MemoryParts) -> Bool { sizes.keys == other.sizes.keys }

    /// The sum of all parts.
    package var total: Int { sizes.values.reduce(0, +) }

    /// Divides resident memory into parts.
    ///
    /// - Parameters:
    ///   - resident: Resident bytes by use.
    ///   - allocator: Statistics of glibc's allocator; nil if they were not read, or another
    ///     allocator is in use.
    ///   - liveBytes: Blocks in use, estimated from samples; if nil, the allocator's value is used.
    package init(_ resident: [MappingUse: Int], allocator: AllocatorUsage?, liveBytes: Int?) {
        let anonymous = resident[.anonymous] ?? 0
        // Large blocks have their own mappings, which cannot be distinguished from others.
        let largeBlocks = min(anonymous, allocator?.mmapped ?? liveBytes ?? anonymous)
        let heap = (resident[.heap] ?? 0) + largeBlocks
        if let inUse = liveBytes ?? allocator?.inUse {
            let live = min(heap, max(0, inUse))
            sizes[.liveHeap] = live
            sizes[.allocatorSlack] = heap - live
        } else {
            sizes[.heap] = heap
        }
        sizes[.stacks] = resident[.stack] ?? 0
        sizes[.mappedFiles] = resident[.file] ?? 0
        sizes[.shared] = resident[.shared] ?? 0
        sizes[.rest] = anonymous - largeBlocks + (resident[.kernel] ?? 0)
    }

    /// Creates parts with these sizes, for tests.
    package init(_ sizes: [Part: Int]) { self.sizes = sizes }
}

/// Statistics of glibc's allocator, in bytes.
package struct AllocatorUsage: Sendable, Equatable {
    /// From the kernel, for ordinary blocks.
    package let arena: Int
    /// From the kernel, for single large blocks.
    package let mmapped: Int
    /// In allocated blocks, including large ones.
    package let inUse: Int
    /// In freed blocks.
    package let free: Int

    /// Creates statistics; `usual` is the memory in use without large blocks.
    package init(arena: Int, mmapped: Int, usual: Int, free: Int) {
        (self.arena, self.mmapped, self.free) = (arena, mmapped, free)
        inUse = usual + mmapped
    }
}

/// The parts of the last hour.
package struct MemoryHistory: Sendable {
    /// The span of the history.
    package static let span: Duration = .seconds(3_600)
    private static let step: Duration = .seconds(60)
    /// Growth below either of these is not reported.
    private static let leastGrowth = 64 << 20
    private static let leastShare = 0.2
    /// A service younger than this is still starting.
    private static let leastSpan: Duration = .seconds(600)

    package private(set) var readings: [(time: ContinuousClock.Instant, parts: MemoryParts)] = []

    /// Creates an empty history.
    package init() {}

    /// Adds a reading; keeps about one per minute.
    ///
    /// The history restarts if the heap is divided differently: that is not growth.
    package mutating func note(_ parts: MemoryParts, at time: ContinuousClock.Instant) {
        if let last = readings.last, !last.parts.hasSameParts(as: parts) { readings = [] }
        if readings.count > 1, let last = readings.last,
            last.time - readings[readings.count - 2].time < Self.step
        {
            readings.removeLast()
        }
        readings.append((time, parts))
        readings.removeAll { time - $0.time > Self.span }
    }

    /// The growth of each part since the oldest reading, and the age of that reading; nil with
    /// fewer than two.
    package var growth: (parts: [MemoryParts.Part: Int], over: Duration)? {
        guard readings.count > 1, let first = readings.first, let last = readings.last else {
            return nil
        }
        let changes = MemoryParts.Part.allCases.compactMap { part in
            last.parts[part].map { (part, $0 - (first.parts[part] ?? 0)) }
        }
        return (Dictionary(uniqueKeysWithValues: changes), last.time - first.time)
    }

    /// A notice for operators if memory grows; nil otherwise.
    package var notice: String? {
        guard let growth, growth.over >= Self.leastSpan, let first = readings.first else {
            return nil
        }
        let total = growth.parts.values.reduce(0, +)
        guard total >= Self.leastGrowth,
            Double(total) >= Double(first.parts.total) * Self.leastShare,
            let (part, bytes) = growth.parts.max(by: { $0.value < $1.value })
        else { return nil }
        let minutes = Int(growth.over / .seconds(60))
        return "Resident memory has grown by \(Self.mebibytes(total)) in \(minutes) minutes, "
            + "\(Self.mebibytes(bytes)) of that in \(Self.explanation(of: part))."
    }

    private static func mebibytes(_ bytes: Int) -> String { "\(bytes >> 20) MiB" }

    private static func explanation(of part: MemoryParts.Part) -> String {
        switch part {
        case .liveHeap:
            "the live heap: blocks that are not freed. /debug/pprof/heap shows their stacks"
        case .allocatorSlack:
            "freed memory that the allocator keeps: fragmentation, or a peak that has "
                + "passed"
        case .heap:
            "the heap, or memory that the program has mapped itself: only a heap profiler can "
                + "separate used from freed memory"
        case .stacks: "thread stacks: see process_threads"
        case .mappedFiles: "mapped files, which the kernel can reclaim"
        case .shared: "shared memory"
        case .rest: "memory that belongs to neither the allocator nor a thread"
        }
    }
}
