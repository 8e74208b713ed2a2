// SPDX-License-Identifier: Apache-2.0
// A metric family inside the registry: its definition, cells and series.

internal import OutriderThreading
internal import Synchronization

/// The shared state of a ``Family`` or a single instrument; thread-safe.
///
/// Instruments refer to the arena, not to this object, so releasing a registry frees everything
/// except the instruments that the service still holds.
final class FamilyCore: Sendable {
    let definition: MetricDefinition
    let texts: FamilyTexts
    let context: RegistryContext
    let limit: SeriesLimit
    /// The maximum number of series, the overflow series not included; nil if there is no limit.
    let seriesLimit: Int?
    private let labelHeads: LabelHeads
    private let arena: CellArena
    private let table: SeriesTable
    private let overflows = Atomic<Int>(0)
    private let lackedBytes = Atomic<Bool>(false)
    /// How often series were removed through the direct API, or the family was unregistered.
    private let removals = Atomic<Int>(0)
    private let isUnregistered = Atomic<Bool>(false)

    init(
        _ definition: MetricDefinition, limit: SeriesLimit = .default,
        _ context: RegistryContext
    ) {
        self.definition = definition
        self.limit = limit
        self.context = context
        texts = FamilyTexts(definition)
        // Open labels are not known in advance; their overflow series has the label `overflow`.
        labelHeads = LabelHeads(definition.hasOpenLabels ? ["overflow"] : definition.labels)
        let cells =
            switch definition.kind {
            case .counter: Counter.cellCount
            case .gauge, .info, .stateSet: Gauge.cellCount
            case .histogram: Histogram.cellCount(bounds: definition.bounds.count)
            }
        let isLabelled = !definition.labels.isEmpty || definition.hasOpenLabels
        arena = CellArena(
            cellsPerSeries: cells, firstCapacity: isLabelled ? 4 : 1, context: context)
        let isLimited = isLabelled && definition.kind != .info
        seriesLimit = isLimited ? limit.clampedCount : nil
        let isCumulative = definition.kind == .counter || definition.kind == .histogram
        let arena = arena
        let expiry = limit.idleTime.flatMap { idleTime in
            isLimited && isCumulative
                ? IdleExpiry(
                    idleTime: idleTime, kind: definition.kind, arena: arena) : nil
        }
        table = SeriesTable(
            expectsMany: isLabelled, limit: isLimited ? limit.clampedCount : .max,
            budget: isLimited
                ? FamilyBudget(
                    limit: limit.labelBytes, lines: definition.linesPerSeries,
                    registry: context.labels) : nil,
            overflowKey: isLimited ? Self.overflowKey(labelHeads) : [],
            heads: definition.hasOpenLabels ? nil : labelHeads, expiry: expiry,
            clock: context.clock)
    }

    private static func overflowKey(_ heads: LabelHeads) -> [UInt8] {
        let values = Array(repeating: SeriesLimit.overflowValue, count: heads.count)
        let key = unsafe LabelBlock.withRendered(
            heads: heads, values: values.span, order: nil, longest: .max / 2
        ) { block, _ in unsafe Array(block) }
        return key ?? []
    }

    var diagnostics: Diagnostics { context.diagnostics }

    /// Whether a series may have an exemplar, so that a scrape has to check.
    var hasExemplars: Bool { arena.mayHaveExemplars }

    /// Whether a series may have per-CPU rows, so that a scrape has to check.
    var hasRows: Bool { arena.mayHaveRows }

    /// The current series, for a scrape.
    var runs: [SeriesRun] { table.runs }

    /// When the series at an index of a run was created, in seconds since the epoch.
    func secondsAtCreation(of index: Int, in run: SeriesRun) -> Double {
        table.secondsAtCreation(of: index, in: run)
    }

    /// The number of current series.
    var count: Int { table.count }

    /// The rendered labels of the overflow series; empty if there is none.
    var overflowKey: [UInt8] { table.overflowKey }

    /// Removes or hides idle series, for a scrape that is about to write the family.
    func expireIdle(for delivery: Delivery) { table.expireIdle(for: delivery) }

    // MARK: - Lookups

    /// Calls `body` with the instrument of a series with these values, in the order of their names.
    ///
    /// Takes no lock and counts no reference; nil if the lookup needs the lock.
    @inline(__always)
    func withPlain<let count: Int, Result>(
        _ values: SeriesKey.Values<count>, _ body: (AnyObject) -> Result
    ) -> Result? {
        unsafe table.withPlain(values, body)
    }

    /// The instrument for these label values, created if missing.
    ///
    /// A wrong number of values, or a label set over 64 KiB, gives an instrument that works but is
    /// not exposed; that is counted.
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
                (\(definition.labels.joined(separator: ", "))), but got \(count) values; \
                pass one value for each label
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

    /// The instrument of the overflow series; counts an overflow.
    func overflow() -> AnyObject {
        let instrument = table.overflow(make: makeInstrument)
        noteOverflow()
        return instrument
    }

    /// Whether an instrument is that of the overflow series.
    func isOverflow(_ instrument: AnyObject) -> Bool { table.isOverflow(instrument) }

    /// Lookups that returned the overflow series.
    var overflowCount: Int { overflows.load(ordering: .relaxed) }

    /// Whether a lookup returned the overflow series because the limit in bytes was reached.
    var hasLackedBytes: Bool { lackedBytes.load(ordering: .relaxed) }

    private func noteOverflow(lacksBytes: Bool = false) {
        // ORDERING: relaxed; the flag and the count do not guard other memory.
        if lacksBytes { lackedBytes.store(true, ordering: .relaxed) }
        if overflows.wrappingAdd(1, ordering: .relaxed).oldValue == 0 {
            diagnostics.log.report(
                .warning, about: "overflow:\(definition.name)", overflowAdvice)
        }
    }

    // MARK: - Removal

    /// Keeps only the series with these label values, in the order of their names; created if
    /// missing.
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
            "metric \"\(definition.name)\" got a label set of over 64 KiB; shorten it")
    }

    /// Removes the series with these label values; returns whether there was one.
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

    /// Removes every series that has these labels; returns the number of removed series.
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

    // MARK: - Series by rendered labels, for swift-metrics

    /// Changes whenever the direct API may have removed a series or the whole family.
    ///
    /// ORDERING: release and acquire; a thread that sees the count after a removal sees the
    /// removal.
    var removalCount: Int { removals.load(ordering: .acquiring) }

    /// Whether the registry still has the family.
    var isRegistered: Bool { !isUnregistered.load(ordering: .acquiring) }

    private func noteRemoval() { removals.wrappingAdd(1, ordering: .releasing) }

    /// Notes that the registry removed the family.
    func noteUnregistration() {
        isUnregistered.store(true, ordering: .releasing)
        noteRemoval()
    }

    /// The instrument with these rendered labels, created if missing.
    func instrument(rendered key: [UInt8]) -> AnyObject {
        let found = unsafe key.withUnsafeBufferPointer { key in
            unsafe table.findOrMake(key, make: makeInstrument)
        }
        if found.isOverflow { noteOverflow(lacksBytes: found.lacksBytes) }
        return found.instrument
    }

    /// Whether this instrument belongs to the series with these rendered labels.
    func has(_ instrument: AnyObject, rendered key: [UInt8]) -> Bool {
        unsafe key.withUnsafeBufferPointer { key in unsafe table.find(key) === instrument }
    }

    /// Removes the series with these rendered labels, without counting a removal.
    func remove(rendered key: [UInt8]) {
        unsafe key.withUnsafeBufferPointer { key in _ = unsafe table.remove(key) }
    }

    /// Sets the creation time of the series with these rendered labels to now, if it still has this
    /// instrument.
    func restart(_ instrument: AnyObject, rendered key: [UInt8]) {
        unsafe key.withUnsafeBufferPointer { key in unsafe table.restart(instrument, key) }
    }

    /// An instrument of the family's kind that does not belong to a series.
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
