// SPDX-License-Identifier: Apache-2.0
// The numbers of a series, for readers: scrapes, expiry, tests.

/// The numbers of a series: the sum of its cells and, if it has them, its per-CPU rows.
struct SeriesValues {
    let cell: Cell
    /// The row pointer; 0 if the series has no rows.
    var rowPointer: UInt64 = 0

    /// The integer at an offset.
    @inline(__always)
    func integer(at offset: Int) -> UInt64 {
        let own = cell.advanced(by: offset).integer
        return rowPointer == 0 ? own : own &+ CellRows.integer(at: offset, of: rowPointer)
    }

    /// The fraction at an offset.
    @inline(__always)
    func double(at offset: Int) -> Double {
        let own = cell.advanced(by: offset).double
        return rowPointer == 0 ? own : own + CellRows.double(at: offset, of: rowPointer)
    }
}

extension SeriesBlock {
    /// The numbers of a series.
    ///
    /// - Parameters:
    ///   - kind: The kind of the family's instruments.
    ///   - hasRows: Whether a series of the family may have rows; otherwise only its cells are
    ///     read.
    @inline(__always)
    func numbers(at index: Int, of kind: MetricKind, hasRows: Bool) -> SeriesValues {
        guard hasRows else { return SeriesValues(cell: cell(at: index)) }
        // SAFETY: all instruments of a family are of its kind.
        switch kind {
        case .counter:
            return unsafe unsafeDowncast(instrument(at: index), to: Counter.self).cells.numbers
        case .histogram:
            return unsafe unsafeDowncast(instrument(at: index), to: Histogram.self).cells.numbers
        case .gauge, .info, .stateSet: return SeriesValues(cell: cell(at: index))
        }
    }

    /// The exemplars of a series in a family of counters or histograms; nil if it has none.
    @inline(__always)
    func exemplars(at index: Int, _ kind: MetricKind) -> ExemplarSlots? {
        // SAFETY: all instruments of a family are of its kind.
        kind == .counter
            ? unsafe unsafeDowncast(instrument(at: index), to: Counter.self).exemplarSlots
            : unsafe unsafeDowncast(instrument(at: index), to: Histogram.self).exemplarSlots
    }
}
