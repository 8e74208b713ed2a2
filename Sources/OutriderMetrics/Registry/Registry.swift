// SPDX-License-Identifier: Apache-2.0
// All metrics of a service, under their names.
//
// The lock is for registration. A scrape takes it for as long as it takes to copy one array
// reference; recording never takes it.

internal import OutriderThreading
internal import Synchronization

/// A set of metrics that is scraped as one.
///
/// Most services use ``shared``; make one of your own for a test, or to expose a part apart.
/// Thread-safe.
///
/// Each kind of metric can be registered in two ways. `counter(…)`, `gauge(…)`, `histogram(…)`
/// and `info(…)` never fail: a definition that cannot be accepted gives an instrument that works
/// but is not exposed, and that is logged once with advice and counted in
/// `outrider_registrations_refused_total{reason}`. `register(counter: …)` and its siblings throw
/// the ``RegistrationError`` instead. The same definition twice gives the same instrument.
///
/// A family with labels has a ``SeriesLimit``, of 10,000 series unless it is told otherwise. It
/// is not part of the definition: who registers a family first settles it.
public final class Registry: Sendable {
    /// The registry that an agent exposes by default.
    public static let shared = Registry()

    let surroundings: Surroundings
    /// Scrapes that are under way.
    let renders = SharedRuns<SharedRender.Key, SharedRender?>()
    /// One scrape is printed and compressed at a time.
    let printing = Turns()
    /// What it is printed into.
    let memory = PrintingMemory()
    /// Threads that ask collectors, beyond the first of each scrape.
    let collectionThreads = Atomic<Int>(0)
    private let state: Guarded<RegistryState>
    private let histograms: HistogramForm
    private let names: MetricNames
    /// What scrapes of this registry cost.
    let scrapeFigures: ScrapeFigures
    /// What swift-metrics records here, whatever factory it came through.
    let handlers: HandlerStore
    private let attachments = Guarded<[String: any AnyObject & Sendable]>([:])

    /// An empty registry.
    ///
    /// - Parameters:
    ///   - reportsItself: Whether it exposes what it refused and what its scrapes cost
    ///     (`outrider_…`). Off is for comparing a whole exposition in a test.
    ///   - histograms: What becomes of histograms whose buckets say nothing of native ones; nil asks
    ///     `OUTRIDER_HISTOGRAMS` (`classic`, `native` or `both`), then they are classic.
    ///   - names: Which names metrics and labels may have; nil asks `OUTRIDER_METRIC_NAMES` (`classic`
    ///     or `utf8`), then they are classic.
    ///   - labels: How much text labels may be; nil asks `OUTRIDER_LABEL_VALUE_BYTES` and
    ///     `OUTRIDER_LABEL_BYTES`, then it is ``LabelLimits/standard``.
    ///   - log: Where its advice goes.
    ///   - clock: Where it gets the time from; for tests.
    public convenience init(
        reportsItself: Bool = true, histograms: HistogramForm? = nil, names: MetricNames? = nil,
        labels: LabelLimits? = nil, log: DiagnosticLog = .shared,
        clock: any MetricClock = SystemMetricClock()
    ) {
        self.init(
            reportsItself: reportsItself, histograms: histograms, names: names, labels: labels,
            log: log, clock: clock, rows: .shared)
    }

    /// The same, with rows of its own for hot series, or none.
    package init(
        reportsItself: Bool = true, histograms: HistogramForm? = nil, names: MetricNames? = nil,
        labels: LabelLimits? = nil, log: DiagnosticLog = .shared,
        clock: any MetricClock = SystemMetricClock(), rows: CellRows?
    ) {
        self.histograms = histograms ?? .ofProcess(log: log)
        self.names = names ?? .ofProcess(log: log)
        let limits = labels ?? .ofProcess(log: log)
        let diagnostics = Diagnostics(log: log, longestValue: limits.saneLength)
        surroundings = Surroundings(
            diagnostics: diagnostics, clock: clock, rows: rows, labels: LabelBudget(limits.bytes))
        var state = RegistryState()
        scrapeFigures = ScrapeFigures(
            in: &state, isExposed: reportsItself, histograms: self.histograms, surroundings)
        if reportsItself {
            try? state.add(CollectionPlan(diagnostics, origin: .own, diagnostics: diagnostics))
        }
        self.state = Guarded(state)
        handlers = HandlerStore(diagnostics)
        if reportsItself {
            try? add(OverflowCollector(registry: self), .own)
            try? add(SeriesCollector(registry: self), .own)
        }
    }

    var diagnostics: Diagnostics { surroundings.diagnostics }

    /// Removes a metric family, or the whole collector that fills it.
    ///
    /// Instruments that were kept go on working, unseen. The name is free for another definition.
    ///
    /// - Parameter name: As it was registered, with or without `_total` or `_info`.
    /// - Returns: Whether there was one.
    @discardableResult
    public func unregister(_ name: String) -> Bool {
        // What was removed goes when this returns, outside the lock: a callback may have captured
        // something whose `deinit` comes back here.
        let removed = state.withLock { $0.remove(name) }
        return withExtendedLifetime(removed) { removed != nil }
    }

    /// Whether a collector of this name is registered.
    package func isCollecting(_ name: String) -> Bool {
        snapshot.plans.contains { $0.name == name }
    }

    /// What several instruments of one kind share in this registry, made when it is first asked for.
    package func attachment<Kind: AnyObject & Sendable>(
        named name: String, _ make: () -> Kind
    ) -> (attachment: Kind, isNew: Bool) {
        attachments.withLock { attachments in
            if let known = attachments[name] as? Kind { return (known, false) }
            let made = make()
            attachments[name] = made
            return (made, true)
        }
    }

    /// Where the registry's advice goes.
    package var log: DiagnosticLog { diagnostics.log }

    /// Handlers of swift-metrics that have an owner.
    package var handlerCount: Int { handlers.count }

    /// Scrapes that wait for a render which they will share.
    package var waitingScrapes: Int { renders.waiting }

    /// The families of this moment, in the order in which they are printed.
    var snapshot: RegistrySnapshot {
        state.withLock { $0.snapshot() }
    }

    // MARK: - What every way of registering comes down to

    /// Registers a family, or finds the one that is there with the same definition.
    func core(
        _ kind: MetricKind, _ name: String, _ help: String, _ labels: [String],
        _ buckets: Buckets? = nil, limit: SeriesLimit = .standard
    ) throws(RegistrationError) -> FamilyCore {
        let definition = try MetricDefinition(
            kind, name, help: help, labels: labels, buckets: buckets, names: names)
        return try core(definition, given: name, limit: limit)
    }

    /// Registers a family, or finds the one that is there with the same definition.
    func core(
        _ definition: MetricDefinition, given name: String, limit: SeriesLimit = .standard
    ) throws(RegistrationError) -> FamilyCore {
        try state.withLock { (state) throws(RegistrationError) in
            try state.findOrAdd(
                definition.inForm(histograms), given: name, limit: limit, surroundings)
        }
    }

    /// Registers a family, or makes one that is not exposed and says why.
    func coreOrDetached(
        _ kind: MetricKind, _ name: String, _ help: String, _ labels: [String],
        _ buckets: Buckets? = nil, limit: SeriesLimit = .standard
    ) -> FamilyCore {
        do {
            return try core(kind, name, help, labels, buckets, limit: limit)
        } catch {
            diagnostics.refuse(error, "the instrument works, but is not exposed")
            let definition = MetricDefinition(
                unchecked: kind, name, help: help, labels: labels, buckets: buckets)
            return FamilyCore(definition, limit: limit, surroundings)
        }
    }

    func add(
        _ collector: any Collector, _ origin: CollectionPlan.Origin
    ) throws(RegistrationError) {
        let plan = try CollectionPlan(
            collector, origin: origin, names: names, diagnostics: diagnostics)
        try state.withLock { (state) throws(RegistrationError) in try state.add(plan) }
    }
}
