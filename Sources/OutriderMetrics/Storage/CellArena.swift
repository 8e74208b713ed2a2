// SPDX-License-Identifier: Apache-2.0
// The memory of a family's numbers: adjacent cells, addressed by index.
//
// Every series of a family has the same number of cells. They never move, so an instrument keeps
// their address; the index of a removed series is reused for the next one. Frequently updated
// series also have a copy of their cells for each CPU: CellRows.
//
//     chunk 0: n series   chunk 1: n series   chunk 2: 2n   chunk 3: 4n   …   (n: first capacity)
//
// Chunks double, so a million series need about twenty allocations, and an unlabelled gauge or
// counter takes 8 or 16 bytes.

internal import OutriderThreading
internal import Synchronization

/// The cells of one family; thread-safe.
///
/// It also holds the diagnostics and the clock, since it is the only reference that every
/// instrument of the family keeps.
@usableFromInline
final class CellArena: @unchecked Sendable {
    /// The number of adjacent cells of each series.
    let cellsPerSeries: Int
    /// The diagnostics that count refused observations, and the clock.
    let context: RegistryContext

    private let firstCapacity: Int
    private let exemplarsGiven = Atomic<Bool>(false)
    private let rowsGiven = Atomic<Bool>(false)
    private let state = Guarded(State())

    @safe private struct State: @unchecked Sendable {
        // SAFETY: the pointers are only accessed under the lock, and freed only in `deinit`.
        var chunks: [UnsafeMutablePointer<Atomic<UInt64>>] = unsafe []
        var free: [Int] = []
        var used = 0
        var capacity = 0
    }

    /// Creates an empty arena; it allocates memory with the first series.
    init(cellsPerSeries: Int, firstCapacity: Int, context: RegistryContext) {
        self.cellsPerSeries = cellsPerSeries
        self.firstCapacity = max(1, firstCapacity)
        self.context = context
    }

    deinit {
        let chunks = unsafe state.withLock { unsafe $0.chunks }
        for unsafe(chunkIndex, chunk) in unsafe chunks.enumerated() {
            // SAFETY: instruments keep the arena alive, so all cells are unused now.
            unsafe chunk.deinitialize(count: seriesCount(ofChunk: chunkIndex) * cellsPerSeries)
            unsafe chunk.deallocate()
        }
    }

    /// Whether an instrument of the family has ever had an exemplar.
    ///
    /// ORDERING: relaxed; a scrape that does not see it yet leaves the exemplar to the next scrape.
    var mayHaveExemplars: Bool { exemplarsGiven.load(ordering: .relaxed) }

    /// Notes that an instrument of the family has an exemplar.
    func noteExemplar() { exemplarsGiven.store(true, ordering: .relaxed) }

    /// Whether a series of the family has ever had per-CPU rows.
    ///
    /// ORDERING: relaxed; a scrape that does not see it yet reads the counts up to then.
    var mayHaveRows: Bool { rowsGiven.load(ordering: .relaxed) }

    /// Notes that a series of the family is about to get per-CPU rows.
    func noteRows() { rowsGiven.store(true, ordering: .relaxed) }

    /// Allocates the cells of one series, all zero.
    func allocate() -> Cell {
        state.withLock { state in
            if let index = state.free.popLast() { return cell(at: index, in: state) }
            if state.used == state.capacity {
                let count = seriesCount(ofChunk: unsafe state.chunks.count)
                unsafe state.chunks.append(makeChunk(series: count))
                state.capacity += count
            }
            let index = state.used
            state.used += 1
            return cell(at: index, in: state)
        }
    }

    /// Frees the cells of a series for reuse by the next series.
    ///
    /// Called when the last reference to the instrument is gone, so no thread writes to them.
    func release(_ first: Cell) {
        for offset in 0..<cellsPerSeries {
            first.advanced(by: offset).set(0)
        }
        state.withLock { state in
            if let index = index(of: first, in: state) { state.free.append(index) }
        }
    }

    /// The index of the series that these cells belong to, found by searching the few chunks, so
    /// that instruments need not store it.
    private func index(of cell: Cell, in state: State) -> Int? {
        var start = 0
        for unsafe(chunkIndex, chunk) in unsafe state.chunks.enumerated() {
            let count = seriesCount(ofChunk: chunkIndex)
            // SAFETY: only addresses are compared; the distance is taken within one chunk.
            let end = unsafe chunk + count * cellsPerSeries
            if unsafe cell.word >= chunk, unsafe cell.word < end {
                return unsafe start + (cell.word - chunk) / cellsPerSeries
            }
            start += count
        }
        return nil
    }

    /// The number of series in a chunk: n, n, 2n, 4n and so on.
    private func seriesCount(ofChunk chunkIndex: Int) -> Int {
        chunkIndex == 0 ? firstCapacity : firstCapacity << (chunkIndex - 1)
    }

    private func cell(at index: Int, in state: State) -> Cell {
        // Chunk k > 0 starts at index n · 2^(k-1), so k follows from the highest bit of index / n.
        let multiple = index / firstCapacity
        let chunkIndex = Int.bitWidth - multiple.leadingZeroBitCount
        let start = chunkIndex == 0 ? 0 : firstCapacity << (chunkIndex - 1)
        // SAFETY: `index` came from `allocate`, so its chunk exists and holds it.
        return unsafe Cell(word: state.chunks[chunkIndex] + (index - start) * cellsPerSeries)
    }

    private func makeChunk(series: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        let count = series * cellsPerSeries
        let chunk = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: count)
        for offset in 0..<count {
            // SAFETY: `offset` lies within the memory just allocated.
            unsafe (chunk + offset).initialize(to: Atomic(0))
        }
        return unsafe chunk
    }
}
