// SPDX-License-Identifier: Apache-2.0
// Where the numbers of one family live: cells side by side, addressed by index.
//
// Every series of a family has the same number of cells. They never move, so an instrument keeps
// the address; a series that has gone gives its index back for the next one. Series that are
// counted all the time have a copy of their cells for each CPU besides: CellRows.
//
//     chunk 0: n series   chunk 1: n series   chunk 2: 2n   chunk 3: 4n   …   (n: first capacity)
//
// Chunks double, so that a million series need twenty allocations and an unlabelled one needs
// eight or sixteen bytes.

internal import OutriderThreading
internal import Synchronization

/// The cells of one family; thread-safe.
///
/// It also knows whom to tell when an observation is refused and what time it is, since every
/// instrument of the family keeps a reference to it and to nothing else.
@usableFromInline
final class CellArena: @unchecked Sendable {
    /// Cells that each series has, side by side.
    let cellsPerSeries: Int
    /// Where refused observations are counted, and what time it is.
    let surroundings: Surroundings

    private let firstCapacity: Int
    private let exemplarsGiven = Atomic<Bool>(false)
    private let rowsGiven = Atomic<Bool>(false)
    private let state = Guarded(State())

    @safe private struct State: @unchecked Sendable {
        // SAFETY: the pointers are only reached under the lock, and freed in `deinit` alone.
        var chunks: [UnsafeMutablePointer<Atomic<UInt64>>] = unsafe []
        var free: [Int] = []
        var used = 0
        var capacity = 0
    }

    /// An empty arena; memory comes with the first series.
    init(cellsPerSeries: Int, firstCapacity: Int, surroundings: Surroundings) {
        self.cellsPerSeries = cellsPerSeries
        self.firstCapacity = max(1, firstCapacity)
        self.surroundings = surroundings
    }

    deinit {
        let chunks = unsafe state.withLock { unsafe $0.chunks }
        for unsafe(number, chunk) in unsafe chunks.enumerated() {
            // SAFETY: instruments keep the arena alive, so no cell is in use any more.
            unsafe chunk.deinitialize(count: seriesCount(ofChunk: number) * cellsPerSeries)
            unsafe chunk.deallocate()
        }
    }

    /// Whether an instrument of the family was ever given an exemplar.
    ///
    /// ORDERING: relaxed; a scrape that does not see it yet leaves the exemplar for the next.
    var mayHaveExemplars: Bool { exemplarsGiven.load(ordering: .relaxed) }

    /// An instrument of the family was given an exemplar.
    func noteExemplar() { exemplarsGiven.store(true, ordering: .relaxed) }

    /// Whether a series of the family was ever given rows.
    ///
    /// ORDERING: relaxed; a scrape that does not see it yet reads what was counted until then.
    var mayHaveRows: Bool { rowsGiven.load(ordering: .relaxed) }

    /// A series of the family is given rows.
    func noteRows() { rowsGiven.store(true, ordering: .relaxed) }

    /// Hands out the cells of one series, all zero.
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

    /// Takes a series' cells back, for the next series to use.
    ///
    /// Called when the last reference to its instrument is gone, so nobody writes to them.
    func release(_ first: Cell) {
        for offset in 0..<cellsPerSeries {
            first.advanced(by: offset).set(0)
        }
        state.withLock { state in
            if let index = index(of: first, in: state) { state.free.append(index) }
        }
    }

    /// Which series has these cells: looked up in the few chunks there are, so that no instrument
    /// needs a word to remember it.
    private func index(of cell: Cell, in state: State) -> Int? {
        var start = 0
        for unsafe(number, chunk) in unsafe state.chunks.enumerated() {
            let count = seriesCount(ofChunk: number)
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
    private func seriesCount(ofChunk number: Int) -> Int {
        number == 0 ? firstCapacity : firstCapacity << (number - 1)
    }

    private func cell(at index: Int, in state: State) -> Cell {
        // Chunk k > 0 starts at index n · 2^(k-1), so the highest bit of index / n tells k.
        let multiple = index / firstCapacity
        let number = Int.bitWidth - multiple.leadingZeroBitCount
        let start = number == 0 ? 0 : firstCapacity << (number - 1)
        // SAFETY: `index` came from `allocate`, so its chunk exists and holds it.
        return unsafe Cell(word: state.chunks[number] + (index - start) * cellsPerSeries)
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
