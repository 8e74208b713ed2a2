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
        // In this order, so that a series can be set back to a sum of exactly zero.
        return place == 0 ? own : own + CellRows.double(at: offset, of: place)
    }

    /// Takes what was read of a whole number away; additions since then stay.
    func takeAway(_ count: UInt64, at offset: Int) {
        cell.advanced(by: offset).add(0 &- count)
    }

    /// Takes what was read of a fraction away; additions since then stay.
    func takeAway(_ sum: Double, at offset: Int) {
        let cell = cell.advanced(by: offset)
        while true {
            let old = cell.double
            let inRows = place == 0 ? 0 : CellRows.double(at: offset, of: place)
            // Exactly zero if nothing was added.
            let new = old + inRows == sum ? 0 - inRows : old - sum
            if cell.replace(old, with: new) { return }
        }
    }

    /// Sets the whole number at an offset back by what is there; additions meanwhile stay.
    func clearInteger(at offset: Int) {
        if place == 0 {
            _ = cell.advanced(by: offset).take()
        } else {
            cell.advanced(by: offset).add(0 &- integer(at: offset))
        }
    }

    /// Sets the fraction at an offset back by what is there; additions meanwhile stay.
    func clearDouble(at offset: Int) {
        let cell = cell.advanced(by: offset)
        if place == 0 { return cell.set(0) }
        // Rows belong to their CPUs, so the cell takes away what is in them.
        while !cell.replace(cell.double, with: -CellRows.double(at: offset, of: place)) {}
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
