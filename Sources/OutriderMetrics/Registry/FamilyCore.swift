// SPDX-License-Identifier: Apache-2.0
// A metric family as the registry and the scrape know it: its definition, cells and series.

internal import OutriderThreading
internal import Synchronization

/// What stands behind a ``Family`` or a single instrument; thread-safe.
///
/// Instruments refer to the arena, not to this, so a registry that is let go frees everything
/// but the instruments that the service still holds.
final class FamilyCore: Sendable {
    let definition: MetricDefinition
    let texts: FamilyTexts
    let surroundings: Surroundings
    let limit: SeriesLimit
    /// Series that there may be besides the overflow series; nil if that is not limited.
    let seriesLimit: Int?
    private let labelHeads: LabelHeads
    private let arena: CellArena
    private let table: SeriesTable
    private let overflows = Atomic<Int>(0)
    private let lackedBytes = Atomic<Bool>(false)
    /// How often series were removed by the direct API, and the family with them.
    private let removals = Atomic<Int>(0)
    private let isUnregistered = Atomic<Bool>(false)

    init(
        _ definition: MetricDefinition, limit: SeriesLimit = .standard,
        _ surroundings: Surroundings
    ) {
        self.definition = definition
        self.limit = limit
        self.surroundings = surroundings
        texts = FamilyTexts(definition)
        // Of open labels none is known before; what stands for all that do not fit has its own.
        labelHeads = LabelHeads(definition.hasOpenLabels ? ["overflow"] : definition.labels)
        let cells =
            switch definition.kind {
            case .counter: Counter.cellCount
            case .gauge, .info, .stateSet: Gauge.cellCount
            case .histogram: Histogram.cellCount(bounds: definition.bounds.count)
            }
        let isLabelled = !definition.labels.isEmpty || definition.hasOpenLabels
        arena = CellArena(
            cellsPerSeries: cells, firstCapacity: isLabelled ? 4 : 1, surroundings: surroundings)
        let isLimited = isLabelled && definition.kind != .info
        seriesLimit = isLimited ? limit.saneCount : nil
        let isCumulative = definition.kind == .counter || definition.kind == .histogram
        let arena = arena
        let expiry = limit.idleTime.flatMap { idleTime in
            isLimited && isCumulative
                ? IdleExpiry(
                    idleTime: idleTime, kind: definition.kind, arena: arena) : nil
        }
        table = SeriesTable(
            expectsMany: isLabelled, limit: isLimited ? limit.saneCount : .max,
            budget: isLimited
                ? FamilyBudget(
                    limit: limit.labelBytes, lines: definition.linesPerSeries,
                    registry: surroundings.labels) : nil,
            overflowKey: isLimited ? Self.overflowKey(labelHeads) : [],
            heads: definition.hasOpenLabels ? nil : labelHeads, expiry: expiry,
            clock: surroundings.clock)
    }

    private static func overflowKey(_ heads: LabelHeads) -> [UInt8] {
        let values = Array(repeating: SeriesLimit.overflowValue, count: heads.count)
        let key = unsafe LabelBlock.withRendered(
            heads: heads, values: values.span, order: nil, longest: .max / 2
        ) { block, _ in unsafe Array(block) }
        return key ?? []
    }

    var diagnostics: Diagnostics { surroundings.diagnostics }

    /// Whether a series may have an exemplar, so that a scrape has to look for one.
    var hasExemplars: Bool { arena.mayHaveExemplars }

    /// Whether a series may have rows, so that a scrape has to look for them.
    var hasRows: Bool { arena.mayHaveRows }

    /// The series as they are now, for a scrape.
    var runs: [SeriesRun] { table.runs }

    /// When the series of a run was made, in seconds since the epoch.
    func secondsAtCreation(of index: Int, in run: SeriesRun) -> Double {
        table.secondsAtCreation(of: index, in: run)
    }

    /// Series that exist now.
    var count: Int { table.count }

    /// The rendered labels of the overflow series; empty if there is none.
    var overflowKey: [UInt8] { table.overflowKey }

    /// Forgets the series that were idle, for a scrape that is about to print the family.
    func forgetIdle(for delivery: Delivery) { table.forgetIdle(for: delivery) }

    // MARK: - Look-ups

    /// Calls `body` with the instrument of a series with these values, in the order of their names.
    ///
    /// Without a lock, and without counting a reference; nil if it cannot be had so.
    @inline(__always)
    func withPlain<let count: Int, Result>(
        _ values: SeriesKey.Values<count>, _ body: (AnyObject) -> Result
    ) -> Result? {
        unsafe table.withPlain(values, body)
    }

    /// The instrument for these label values, made if there is none yet.
    ///
    /// A wrong number of values, or values beyond all measure, give an instrument that works but
    /// is not exposed; that is counted.
    func instrument(for values: Span<String>, order: [Int]?) -> AnyObject {
        find(values, order: order).instrument
    }

    /// The same, and whether it is the instrument of the overflow series.
    func find(_ values: Span<String>, order: [Int]?) -> SeriesTable.Found {
        guard values.count == labelHeads.count else {
            let count = values.count
            diagnostics.refuse(
                .wrongLabels,
                """
                metric "\(definition.name)" has \(labelHeads.count) labels \
                (\(definition.labels.joined(separator: ", "))), but was asked for \(count); \
                give one value for each
                """)
            return SeriesTable.Found(instrument: detachedInstrument(), isOverflow: false)
        }
        let found = unsafe LabelBlock.withRendered(
            heads: labelHeads, values: values, order: order, longest: diagnostics.longestValue
        ) { key, cuts in
            diagnostics.noteCuts(cuts, of: definition.name)
            return unsafe table.findOrMake(key, make: makeInstrument)
        }
        guard let found else {
            refuseLabels()
            return SeriesTable.Found(instrument: detachedInstrument(), isOverflow: false)
        }
        if found.isOverflow { noteOverflow(lacksBytes: found.lacksBytes) }
        return found
    }

    /// The instrument of the overflow series, counted as an overflow.
    func overflow() -> AnyObject {
        let instrument = table.overflow(make: makeInstrument)
        noteOverflow()
        return instrument
    }

    /// Whether an instrument is that of the overflow series.
    func isOverflow(_ instrument: AnyObject) -> Bool { table.isOverflow(instrument) }

    /// Look-ups that were given the overflow series.
    var overflowCount: Int { overflows.load(ordering: .relaxed) }

    /// Whether a look-up was given the overflow series for want of bytes.
    var hasLackedBytes: Bool { lackedBytes.load(ordering: .relaxed) }

    private func noteOverflow(lacksBytes: Bool = false) {
        // ORDERING: relaxed; the flag and the count guard no memory.
        if lacksBytes { lackedBytes.store(true, ordering: .relaxed) }
        if overflows.wrappingAdd(1, ordering: .relaxed).oldValue == 0 {
            diagnostics.log.say(
                .warning, about: "overflow:\(definition.name)", overflowAdvice)
        }
    }

    // MARK: - Removal

    /// Makes the series with these label values, in the order of their names, the only one.
    func keepOnly(_ values: [String]) {
        let kept: Void? = unsafe LabelBlock.withRendered(
            heads: labelHeads, values: values.span, order: nil, longest: diagnostics.longestValue
        ) { key, cuts in
            diagnostics.noteCuts(cuts, of: definition.name)
            unsafe table.keepOnly(key, make: makeInstrument)
        }
        noteRemoval()
        if kept == nil { refuseLabels() }
    }

    private func refuseLabels() {
        diagnostics.refuse(
            .labelsTooLong,
            "metric \"\(definition.name)\" was asked for a label set of over 64 KiB; shorten it")
    }

    /// Removes the series with these label values; tells whether there was one.
    func remove(_ values: Span<String>, order: [Int]?) -> Bool {
        guard values.count == labelHeads.count else { return false }
        let removed = unsafe LabelBlock.withRendered(
            heads: labelHeads, values: values, order: order, longest: diagnostics.longestValue
        ) { key, _ in
            unsafe table.remove(key)
        }
        noteRemoval()
        return removed ?? false
    }

    /// Removes every series that carries these labels; returns how many those were.
    func removeAll(matching labels: [String: String]) -> Int {
        let names = definition.readable(Array(labels.keys))
        guard !labels.isEmpty, names.allSatisfy(definition.labels.contains) else { return 0 }
        let pairs = zip(names, labels.values).map { name, value in
            (
                name: Array(name.utf8),
                value: LabelBlock.escaped(
                    CutValue.kept(value, longest: diagnostics.longestValue))
            )
        }
        defer { noteRemoval() }
        return unsafe table.removeAll { block in unsafe LabelBlock.contains(pairs, in: block) }
    }

    /// Removes every series.
    func removeAll() {
        _ = unsafe table.removeAll { _ in true }
        noteRemoval()
    }

    // MARK: - Series by their rendered labels, for swift-metrics

    /// Changes whenever the direct API may have removed a series, or the whole family.
    ///
    /// ORDERING: release and acquire; whoever sees the number of a removal sees the removal.
    var removalCount: Int { removals.load(ordering: .acquiring) }

    /// Whether the registry still has the family.
    var isRegistered: Bool { !isUnregistered.load(ordering: .acquiring) }

    private func noteRemoval() { removals.wrappingAdd(1, ordering: .releasing) }

    /// The registry let the family go.
    func noteUnregistration() {
        isUnregistered.store(true, ordering: .releasing)
        noteRemoval()
    }

    /// The instrument with these rendered labels, made if there is none yet.
    func instrument(rendered key: [UInt8]) -> AnyObject {
        let found = unsafe key.withUnsafeBufferPointer { key in
            unsafe table.findOrMake(key, make: makeInstrument)
        }
        if found.isOverflow { noteOverflow(lacksBytes: found.lacksBytes) }
        return found.instrument
    }

    /// Whether this instrument is the one of the series with these rendered labels.
    func has(_ instrument: AnyObject, rendered key: [UInt8]) -> Bool {
        unsafe key.withUnsafeBufferPointer { key in unsafe table.find(key) === instrument }
    }

    /// Removes the series with these rendered labels, without a note of it.
    func remove(rendered key: [UInt8]) {
        unsafe key.withUnsafeBufferPointer { key in _ = unsafe table.remove(key) }
    }

    /// Makes the series with these rendered labels as young as if it was made now, if it is still
    /// this instrument's.
    func restart(_ instrument: AnyObject, rendered key: [UInt8]) {
        unsafe key.withUnsafeBufferPointer { key in unsafe table.restart(instrument, key) }
    }

    /// An instrument of the family's kind that belongs to no series.
    func detachedInstrument() -> AnyObject { makeInstrument().instrument }

    private func makeInstrument() -> (instrument: AnyObject, cell: Cell) {
        switch definition.kind {
        case .counter:
            let counter = Counter(in: arena)
            return (counter, counter.firstCell)
        case .gauge, .stateSet:
            let gauge = Gauge(in: arena)
            return (gauge, gauge.cell)
        case .info:
            let gauge = Gauge(in: arena)
            gauge.set(1)
            return (gauge, gauge.cell)
        case .histogram:
            let histogram = Histogram(
                in: arena, bounds: definition.bounds, native: definition.native)
            return (histogram, histogram.firstCell)
        }
    }
}
