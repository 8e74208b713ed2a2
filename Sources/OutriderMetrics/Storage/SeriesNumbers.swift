// SPDX-License-Identifier: Apache-2.0
// The numbers of a series, for those who read them: scrapes, expiry, tests.

/// What a series has counted; of a hot one, in its cells and in its rows together.
struct SeriesNumbers {
    let cell: Cell
    /// Where its rows are; 0 if it has none.
    var place: UInt64 = 0

    /// The whole number at an offset.
    @inline(__always)
    func integer(at offset: Int) -> UInt64 {
        let own = cell.advanced(by: offset).integer
        return place == 0 ? own : own &+ CellRows.integer(at: offset, of: place)
    }

    /// The fraction at an offset.
    @inline(__always)
    func double(at offset: Int) -> Double {
        let own = cell.advanced(by: offset).double
        return place == 0 ? own : own + CellRows.double(at: offset, of: place)
    }
}

extension SeriesBlock {
    /// The numbers of a series.
    ///
    /// - Parameters:
    ///   - kind: What kind of instruments the family has.
    ///   - hasRows: Whether a series of the family may have rows; else its cells are all there is.
    @inline(__always)
    func numbers(at index: Int, of kind: MetricKind, hasRows: Bool) -> SeriesNumbers {
        guard hasRows else { return SeriesNumbers(cell: cell(at: index)) }
        // SAFETY: a family of a kind has instruments of that kind alone.
        switch kind {
        case .counter:
            return unsafe unsafeDowncast(instrument(at: index), to: Counter.self).cells.numbers
        case .histogram:
            return unsafe unsafeDowncast(instrument(at: index), to: Histogram.self).cells.numbers
        case .gauge, .info, .stateSet: return SeriesNumbers(cell: cell(at: index))
        }
    }

    /// The exemplars of a series of a family of counters or histograms; nil if it has none.
    @inline(__always)
    func exemplars(at index: Int, _ kind: MetricKind) -> ExemplarSlots? {
        // SAFETY: a family of a kind has instruments of that kind alone.
        kind == .counter
            ? unsafe unsafeDowncast(instrument(at: index), to: Counter.self).exemplarSlots
            : unsafe unsafeDowncast(instrument(at: index), to: Histogram.self).exemplarSlots
    }
}
