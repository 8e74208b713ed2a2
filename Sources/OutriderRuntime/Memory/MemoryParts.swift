// SPDX-License-Identifier: Apache-2.0
// What resident memory consists of, and which part of it grows: a leak, or fragmentation?
//
//     resident = live heap + allocator slack + stacks + mapped files + shared + rest
//     resident = heap                        + stacks + mapped files + shared + rest
//
// The kernel tells where memory is; the heap profiler's samples, or the allocator if it may be asked, how
// much of the heap is in use. What the allocator holds beyond that is slack: freed blocks, headers, a peak
// that has passed. Without either, the heap is one part.

/// Resident memory in parts, in bytes.
package struct MemoryParts: Sendable, Equatable {
    /// The parts, and the label values by which they are known.
    package enum Part: String, CaseIterable, Sendable {
        /// Blocks that were allocated and not freed.
        case liveHeap = "live_heap"
        /// What the allocator holds besides.
        case allocatorSlack = "allocator_slack"
        /// Both together, where neither a profiler nor the allocator tells them apart.
        case heap
        /// Stacks of threads.
        case stacks
        /// Programs, libraries and other files.
        case mappedFiles = "mapped_files"
        /// Shared memory.
        case shared
        /// What nobody has named.
        case rest
    }

    private var sizes: [Part: Int] = [:]

    /// The size of a part; nil if it is not told apart from others.
    package subscript(_ part: Part) -> Int? { sizes[part] }

    /// Whether both tell the same parts apart.
    package func hasSameParts(as other: MemoryParts) -> Bool { sizes.keys == other.sizes.keys }

    /// All of it.
    package var total: Int { sizes.values.reduce(0, +) }

    /// Parts resident memory.
    ///
    /// - Parameters:
    ///   - resident: Resident bytes by what they are used for.
    ///   - allocator: What glibc's allocator says; nil if it was not asked, or another one is there.
    ///   - liveBytes: Blocks in use by an estimate from samples; nil takes what the allocator says.
    package init(_ resident: [MappingUse: Int], allocator: AllocatorFigures?, liveBytes: Int?) {
        let anonymous = resident[.anonymous] ?? 0
        // Large blocks have mappings of their own, which nothing tells from others.
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

    /// These sizes, for a test.
    package init(_ sizes: [Part: Int]) { self.sizes = sizes }
}

/// What glibc's allocator says of itself, in bytes.
package struct AllocatorFigures: Sendable, Equatable {
    /// From the kernel, for blocks of usual size.
    package let arena: Int
    /// From the kernel, for single large blocks.
    package let mmapped: Int
    /// In blocks that were not freed, the large ones included.
    package let inUse: Int
    /// In blocks that were freed.
    package let free: Int

    /// These figures; `usual` is what is in use without the large blocks.
    package init(arena: Int, mmapped: Int, usual: Int, free: Int) {
        (self.arena, self.mmapped, self.free) = (arena, mmapped, free)
        inUse = usual + mmapped
    }
}

/// The parts of the last hour.
package struct MemoryHistory: Sendable {
    /// How far back it goes.
    package static let span: Duration = .seconds(3_600)
    private static let step: Duration = .seconds(60)
    /// Growth below both of these is nothing to speak of.
    private static let leastGrowth = 64 << 20
    private static let leastShare = 0.2
    /// Before that a service has just started.
    private static let leastSpan: Duration = .seconds(600)

    package private(set) var readings: [(time: ContinuousClock.Instant, parts: MemoryParts)] = []

    /// Nothing is known yet.
    package init() {}

    /// Keeps a reading, of which one a minute is enough.
    ///
    /// It begins anew when the heap is told apart in another way: that is not growth.
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

    /// How much each part has grown since the oldest reading, and how long ago that was; nil with one.
    package var growth: (parts: [MemoryParts.Part: Int], over: Duration)? {
        guard readings.count > 1, let first = readings.first, let last = readings.last else {
            return nil
        }
        let changes = MemoryParts.Part.allCases.compactMap { part in
            last.parts[part].map { (part, $0 - (first.parts[part] ?? 0)) }
        }
        return (Dictionary(uniqueKeysWithValues: changes), last.time - first.time)
    }

    /// A sentence for people if memory grows; nil while it does not.
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
            "the live heap: something keeps what it allocates. /debug/pprof/heap names it"
        case .allocatorSlack:
            "memory that the allocator holds and nobody uses: fragmentation, or a peak that has "
                + "passed"
        case .heap:
            "the heap, or memory that the program has mapped itself: only a heap profiler tells what "
                + "is in use from what was freed"
        case .stacks: "stacks: look at process_threads"
        case .mappedFiles: "mapped files, which the kernel can take back"
        case .shared: "shared memory"
        case .rest: "memory that neither the allocator nor a thread has asked for"
        }
    }
}
