// SPDX-License-Identifier: Apache-2.0
// A metric family as the registry and the scrape know it: its definition, cells and series.

internal import OutriderThreading

/// What stands behind a ``Family`` or a single instrument; thread-safe.
///
/// Instruments refer to the arena, not to this, so a registry that is let go frees everything
/// but the instruments that the service still holds.
final class FamilyCore: Sendable {
    let definition: MetricDefinition
    let text: FamilyText
    let surroundings: Surroundings
    private let labelHeads: LabelHeads
    private let arena: CellArena
    private let table: SeriesTable

    init(_ definition: MetricDefinition, _ surroundings: Surroundings) {
        self.definition = definition
        self.surroundings = surroundings
        text = FamilyText(definition)
        labelHeads = LabelHeads(definition.labels)
        let cells =
            switch definition.kind {
            case .counter: Counter.cellCount
            case .gauge, .info: Gauge.cellCount
            case .histogram: Histogram.cellCount(bounds: definition.bounds.count)
            }
        let isLabelled = !definition.labels.isEmpty
        arena = CellArena(
            cellsPerSeries: cells, firstCapacity: isLabelled ? 4 : 1, surroundings: surroundings)
        table = SeriesTable(expectsMany: isLabelled, clock: surroundings.clock)
    }

    var diagnostics: Diagnostics { surroundings.diagnostics }

    /// Whether a series may have an exemplar, so that a scrape has to look for one.
    var hasExemplars: Bool { arena.mayHaveExemplars }

    /// The series as they are now, for a scrape.
    var runs: [SeriesRun] { table.runs }

    /// When the series of a run was made, in seconds since the epoch.
    func secondsAtCreation(of index: Int, in run: SeriesRun) -> Double {
        table.secondsAtCreation(of: index, in: run)
    }

    /// Series that exist now.
    var count: Int { table.count }

    /// The instrument for these label values, made if there is none yet.
    ///
    /// A wrong number of values, or values beyond all measure, give an instrument that works but
    /// is not exposed; that is counted.
    func instrument(for values: Span<String>, order: [Int]?) -> AnyObject {
        guard values.count == labelHeads.count else {
            let count = values.count
            diagnostics.refuse(
                .wrongLabels,
                """
                metric "\(definition.name)" has \(labelHeads.count) labels \
                (\(definition.labels.joined(separator: ", "))), but was asked for \(count); \
                give one value for each
                """)
            return makeInstrument().instrument
        }
        let found = unsafe LabelBlock.withRendered(
            heads: labelHeads, values: values, order: order
        ) { key in
            unsafe table.findOrMake(key, make: makeInstrument)
        }
        if let found { return found }
        refuseLabels()
        return makeInstrument().instrument
    }

    /// Makes the series with these label values, in the order of their names, the only one.
    func keepOnly(_ values: [String]) {
        let kept: Void? = unsafe LabelBlock.withRendered(
            heads: labelHeads, values: values.span, order: nil
        ) { key in
            unsafe table.keepOnly(key, make: makeInstrument)
        }
        if kept == nil { refuseLabels() }
    }

    private func refuseLabels() {
        diagnostics.refuse(
            .labelsTooLong,
            "metric \"\(definition.name)\" was asked for a label set of over 500 kB; shorten it")
    }

    /// Removes the series with these label values; tells whether there was one.
    func remove(_ values: Span<String>, order: [Int]?) -> Bool {
        guard values.count == labelHeads.count else { return false }
        let removed = unsafe LabelBlock.withRendered(
            heads: labelHeads, values: values, order: order
        ) { key in
            unsafe table.remove(key)
        }
        return removed ?? false
    }

    /// Removes every series that carries these labels; returns how many those were.
    func removeAll(matching labels: [String: String]) -> Int {
        guard !labels.isEmpty, labels.keys.allSatisfy(definition.labels.contains) else { return 0 }
        let pairs = labels.map { (name: Array($0.utf8), value: LabelBlock.escaped($1)) }
        return unsafe table.removeAll { block in unsafe LabelBlock.contains(pairs, in: block) }
    }

    /// Removes every series.
    func removeAll() {
        _ = unsafe table.removeAll { _ in true }
    }

    private func makeInstrument() -> (instrument: AnyObject, cell: Cell) {
        switch definition.kind {
        case .counter:
            let counter = Counter(in: arena)
            return (counter, counter.cell)
        case .gauge:
            let gauge = Gauge(in: arena)
            return (gauge, gauge.cell)
        case .info:
            let gauge = Gauge(in: arena)
            gauge.set(1)
            return (gauge, gauge.cell)
        case .histogram:
            let histogram = Histogram(in: arena, bounds: definition.bounds)
            return (histogram, histogram.cell)
        }
    }
}
