// SPDX-License-Identifier: Apache-2.0
// The composition of resident memory and, optionally, statistics of glibc's allocator.
//
// Reading the former takes time in a large process but does not block other threads
// (ResidentMemory.swift), so it is read in the background, at an interval that follows its cost.
// The latter comes from mallinfo2(3), which walks the free blocks of an arena under its lock: 100
// ms for 200 MB of freed blocks, during which no other thread can allocate from it. glibc neither
// reports their number in advance nor anything without that walk, so even the first call may do
// harm. That is why it is off by default.

internal import COutriderRuntime
public import OutriderMetrics
package import OutriderThreading

/// The parts of resident memory, and the memory held by glibc's allocator.
///
/// Linux only. The heap in use comes from the heap profiler's samples if there is a profiler.
/// Thread-safe.
public struct MemoryCollector: Collector {
    /// The result of one reading.
    struct Values: Sendable {
        let allocator: AllocatorUsage?
        let parts: MemoryParts?
    }

    static let readingName = "memory"
    static let allocatorReadingName = "allocator"

    let reading: BackgroundReading<Values>
    private let history: HistoryBox

    private final class HistoryBox: Sendable {
        let history = Guarded(MemoryHistory())
    }

    /// Creates a collector for this process.
    ///
    /// - Parameters:
    ///   - readsAllocator: Whether mallinfo2(3) is called. It blocks every allocating thread while
    ///     it walks the freed blocks: 100 ms for 200 MB of them. After a call that took more than 5
    ///     ms, it is not called again.
    ///   - liveBytes: Estimates the heap in use from samples, as `HeapProfiler` does; if nil, the
    ///     allocator's value is used.
    public init(
        readsAllocator: Bool = false, liveBytes: @escaping @Sendable () -> Int? = { nil }
    ) {
        self.init(
            proc: "/proc", failures: SourceFailures(), pauses: ReadingPauses(of: Self.readingName),
            allocatorPauses: readsAllocator ? ReadingPauses(of: Self.allocatorReadingName) : nil,
            liveBytes: liveBytes)
    }

    /// The same; `allocatorPauses` is nil if mallinfo2(3) is not to be called.
    package init(
        proc: String, failures: SourceFailures, pauses: ReadingPauses,
        allocatorPauses: ReadingPauses?, time: any TimeSource = SystemTime(),
        liveBytes: @escaping @Sendable () -> Int?
    ) {
        let history = HistoryBox()
        self.history = history
        let memory = ResidentMemory(proc: proc, pauses: pauses)
        reading = BackgroundReading(
            named: Self.readingName, atLeastEvery: .seconds(10), time: time
        ) {
            let allocator = allocatorPauses.flatMap { Self.allocator($0, failures) }
            let parts = Self.resident(memory, failures).map {
                MemoryParts($0, allocator: allocator, liveBytes: liveBytes())
            }
            if let parts { history.history.withLock { $0.note(parts, at: time.now) } }
            return Values(allocator: allocator, parts: parts)
        }
    }

    /// Reads now, whatever the cost.
    package func readNow() { reading.run() }

    /// A notice if memory grows, with the part that grows most.
    package var notice: String? { history.history.withLock { $0.notice } }

    private static func resident(
        _ memory: ResidentMemory, _ failures: SourceFailures
    ) -> [MappingUse: Int]? {
        do {
            return try memory.read()
        } catch {
            failures.count(error.source, error.failure)
            return nil
        }
    }

    private static func allocator(
        _ pauses: ReadingPauses, _ failures: SourceFailures
    ) -> AllocatorUsage? {
        let source = "mallinfo2"
        guard pauses.mayRead(source) else {
            failures.count(source, .switchedOff)
            return nil
        }
        var values = outrider_allocator_usage()
        let isKnown = pauses.measure(source) { unsafe outrider_allocator_read(&values) != 0 }
        // Discard the result of a call that took too long: it is valid, but no newer one follows.
        guard isKnown, pauses.mayRead(source) else { return nil }
        return AllocatorUsage(
            arena: Int(clamping: values.arena), mmapped: Int(clamping: values.mmapped),
            usual: Int(clamping: values.in_use), free: Int(clamping: values.unused))
    }

    /// `memory`.
    public var name: String { "memory" }

    private static let arena = CollectedFamily.gauge(
        "malloc_arena_bytes", help: "Bytes that glibc malloc holds in its arenas.")
    private static let mmapped = CollectedFamily.gauge(
        "malloc_mmapped_bytes", help: "Bytes that glibc malloc has mapped for single large blocks.")
    private static let inUse = CollectedFamily.gauge(
        "malloc_in_use_bytes",
        help: "Bytes allocated from glibc malloc and not freed, including large blocks.")
    private static let free = CollectedFamily.gauge(
        "malloc_free_bytes",
        help: "Freed bytes that glibc malloc keeps; divide by malloc_arena_bytes for the "
            + "fragmentation.")
    private static let parts = CollectedFamily.gauge(
        "process_memory_part_bytes",
        help: "Resident memory by part, in bytes; the parts add up to the total.",
        labels: ["part"])
    private static let growth = CollectedFamily.gauge(
        "process_memory_part_growth_bytes",
        help: "Growth of each part of resident memory within the last hour, in bytes.",
        labels: ["part"])

    /// All metric families.
    public var families: [CollectedFamily] {
        [Self.arena, Self.mmapped, Self.inUse, Self.free, Self.parts, Self.growth]
    }

    /// Adds the values of the last reading.
    public func collect(into samples: inout CollectedSamples) {
        guard let values = reading.latest()?.value else { return }
        if let allocator = values.allocator {
            samples.add(Self.arena, allocator.arena)
            samples.add(Self.mmapped, allocator.mmapped)
            samples.add(Self.inUse, allocator.inUse)
            samples.add(Self.free, allocator.free)
        }
        guard let parts = values.parts else { return }
        let growth = history.history.withLock { $0.growth }
        for part in MemoryParts.Part.allCases {
            guard let bytes = parts[part] else { continue }
            samples.add(Self.parts, bytes, part.rawValue)
            if let change = growth?.parts[part] { samples.add(Self.growth, change, part.rawValue) }
        }
    }
}
