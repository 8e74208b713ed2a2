// SPDX-License-Identifier: Apache-2.0
// The allocator's figures, and what resident memory consists of.
//
// Both are dear in a large process: mallinfo2(3) walks every free block, and the kernel walks every page for
// /proc/self/smaps. So they are read beside the scrapes, at an interval that follows their cost.

internal import COutriderRuntime
public import OutriderMetrics
package import OutriderThreading

/// What glibc's allocator holds, and the parts of resident memory.
///
/// Linux with glibc; what another allocator holds is told from the heap profiler's samples where there
/// is one. Thread-safe.
public struct MemoryCollector: Collector {
    /// What one reading brings.
    struct Figures: Sendable {
        let allocator: AllocatorFigures?
        let parts: MemoryParts?
    }

    let reading: BackgroundReading<Figures>
    private let history: HistoryBox

    private final class HistoryBox: Sendable {
        let history = Guarded(MemoryHistory())
    }

    /// More than the mappings of any process that is to be looked at take.
    private static let mappingsLimit = 64 << 20
    private static let mappingsRoom = 256 << 10
    private static let mappingsTries = 4

    /// A collector for this process.
    ///
    /// - Parameter liveBytes: Estimates the heap in use from samples, as `HeapProfiler` does; nil
    ///   takes what the allocator says.
    public init(liveBytes: @escaping @Sendable () -> Int? = { nil }) {
        self.init(proc: "/proc", failures: SourceFailures(), liveBytes: liveBytes)
    }

    package init(
        proc: String, failures: SourceFailures, time: any TimeSource = SystemTime(),
        liveBytes: @escaping @Sendable () -> Int?
    ) {
        let history = HistoryBox()
        self.history = history
        reading = BackgroundReading(named: "memory", atLeastEvery: .seconds(10), time: time) {
            let allocator = Self.allocator()
            let mappings = Self.mappings(in: "\(proc)/self/smaps", failures)
            let parts = mappings.map {
                MemoryParts($0, allocator: allocator, liveBytes: liveBytes())
            }
            if let parts { history.history.withLock { $0.note(parts, at: time.now) } }
            return Figures(allocator: allocator, parts: parts)
        }
    }

    /// Reads at once, whatever it costs.
    package func readNow() { reading.run() }

    /// Says so if memory grows, and which part of it.
    package var notice: String? { history.history.withLock { $0.notice } }

    private static func allocator() -> AllocatorFigures? {
        var figures = outrider_allocator_figures()
        guard unsafe outrider_allocator_read(&figures) != 0 else { return nil }
        return AllocatorFigures(
            arena: Int(clamping: figures.arena), mmapped: Int(clamping: figures.mmapped),
            usual: Int(clamping: figures.in_use), free: Int(clamping: figures.unused))
    }

    /// The mappings, once the kernel has told of them without a contradiction; nil if it does not.
    ///
    /// It hands the file over in pieces. Mappings that are joined or split between two of them
    /// overlap in what it says, so it is read again then, with room for all of it from the start: making
    /// more room changes the mappings too.
    private static func mappings(in path: String, _ failures: SourceFailures) -> [Mapping]? {
        var room = mappingsRoom
        for _ in 0..<mappingsTries {
            switch ProcFile.read(path, limit: mappingsLimit, room: room) {
            case .success(let text):
                if let mappings = MappingsText.mappings(text.span) { return mappings }
                room = text.count + mappingsRoom
            case .failure(let failure):
                failures.count("self/smaps", failure)
                return nil
            }
        }
        failures.count("self/smaps", .malformed)
        return nil
    }

    /// `memory`.
    public var name: String { "memory" }

    private static let arena = CollectedFamily.gauge(
        "malloc_arena_bytes", help: "What glibc's allocator has of the kernel for usual blocks.")
    private static let mmapped = CollectedFamily.gauge(
        "malloc_mmapped_bytes", help: "What glibc's allocator has for single large blocks.")
    private static let inUse = CollectedFamily.gauge(
        "malloc_in_use_bytes",
        help: "Blocks of glibc's allocator that were not freed, in bytes, large ones included.")
    private static let free = CollectedFamily.gauge(
        "malloc_free_bytes",
        help: "Freed blocks that glibc's allocator keeps, in bytes; fragmentation is this by "
            + "malloc_arena_bytes.")
    private static let parts = CollectedFamily.gauge(
        "process_memory_part_bytes",
        help: "What resident memory consists of, in bytes; the parts add up to all of it.",
        labels: ["part"])
    private static let growth = CollectedFamily.gauge(
        "process_memory_part_growth_bytes",
        help: "How much the parts of resident memory have grown within the last hour, in bytes.",
        labels: ["part"])

    /// Every family that is filled.
    public var families: [CollectedFamily] {
        [Self.arena, Self.mmapped, Self.inUse, Self.free, Self.parts, Self.growth]
    }

    /// Adds what the last reading brought.
    public func collect(into samples: inout CollectedSamples) {
        guard let figures = reading.latest()?.value else { return }
        if let allocator = figures.allocator {
            samples.add(Self.arena, allocator.arena)
            samples.add(Self.mmapped, allocator.mmapped)
            samples.add(Self.inUse, allocator.inUse)
            samples.add(Self.free, allocator.free)
        }
        guard let parts = figures.parts else { return }
        let growth = history.history.withLock { $0.growth }
        for part in MemoryParts.Part.allCases {
            samples.add(Self.parts, parts[part], part.rawValue)
            if let change = growth?.parts[part] { samples.add(Self.growth, change, part.rawValue) }
        }
    }
}
