// SPDX-License-Identifier: Apache-2.0
// The registry: all metrics of a service, by name.
//
// The lock is for registration. A scrape takes it to copy one array reference, and after a
// registration to sort the families; recording never takes it.

internal import OutriderThreading
internal import Synchronization

/// A set of metrics that is scraped as a whole.
///
/// Most services use ``shared``. Create a registry for a test, or to expose some metrics
/// separately. Thread-safe.
///
/// Each kind of metric can be registered in two ways. `counter(…)`, `gauge(…)`, `histogram(…)` and
/// `info(…)` never fail: an invalid definition gives an instrument that works but is not exposed.
/// It is logged once, with advice, and counted in `outrider_registrations_refused_total{reason}`.
/// `register(counter: …)` and its siblings throw a ``RegistrationError`` instead. Registering the
/// same definition again returns the same instrument.
///
/// A family with labels has a ``SeriesLimit``, by default 10,000 series. The limit is not part of
/// the definition: the first registration of a family sets it.
public final class Registry: Sendable {
    /// The registry that an agent exposes by default.
    public static let shared = Registry()

    let context: RegistryContext
    /// Scrapes in progress.
    let renders = SharedRuns<SharedRender.Key, SharedRender?>()
    /// Only one scrape at a time is rendered and compressed.
    let renderTurns = Turns()
    /// The memory that it is rendered into.
    let memory = RenderMemory()
    /// Threads that call collectors, beyond the first of each scrape.
    let collectionThreads = Atomic<Int>(0)
    private let state: Guarded<RegistryState>
    private let histograms: HistogramKind
    private let names: MetricNames
    /// The cost of scrapes of this registry.
    let scrapeMetrics: ScrapeMetrics
    /// The swift-metrics handlers of this registry, from all factories.
    let handlers: HandlerStore
    private let attachments = Guarded<[String: any AnyObject & Sendable]>([:])

    /// Creates an empty registry.
    ///
    /// - Parameters:
    ///   - hasOwnMetrics: Whether the registry exposes its refusals and the cost of its scrapes
    ///     (`outrider_…`). Turn it off to compare a whole exposition in a test.
    ///   - histograms: The kind of histograms whose buckets do not specify native ones; if nil,
    ///     `OUTRIDER_HISTOGRAMS` (`classic`, `native` or `both`), by default classic.
    ///   - names: The allowed names of metrics and labels; if nil, `OUTRIDER_METRIC_NAMES`
    ///     (`classic` or `utf8`), by default classic.
    ///   - labels: The limits on label text; if nil, `OUTRIDER_LABEL_VALUE_BYTES` and
    ///     `OUTRIDER_LABEL_BYTES`, by default ``LabelLimits/default``.
    ///   - log: Receives advice.
    ///   - clock: The source of time; for tests.
    public convenience init(
        hasOwnMetrics: Bool = true, histograms: HistogramKind? = nil, names: MetricNames? = nil,
        labels: LabelLimits? = nil, log: DiagnosticLog = .shared,
        clock: any MetricClock = SystemMetricClock()
    ) {
        self.init(
            hasOwnMetrics: hasOwnMetrics, histograms: histograms, names: names, labels: labels,
            log: log, clock: clock, rows: .shared)
    }

    /// The same, with its own per-CPU rows, or none.
    package init(
        hasOwnMetrics: Bool = true, histograms: HistogramKind? = nil, names: MetricNames? = nil,
        labels: LabelLimits? = nil, log: DiagnosticLog = .shared,
        clock: any MetricClock = SystemMetricClock(), rows: CellRows?
    ) {
        self.histograms = histograms ?? .ofProcess(log: log)
        self.names = names ?? .ofProcess(log: log)
        let limits = labels ?? .ofProcess(log: log)
        let diagnostics = Diagnostics(log: log, longestValue: limits.clampedLength)
        context = RegistryContext(
            diagnostics: diagnostics, clock: clock, rows: rows, labels: LabelBudget(limits.bytes))
        var state = RegistryState()
        scrapeMetrics = ScrapeMetrics(
            in: &state, isExposed: hasOwnMetrics, histograms: self.histograms, context)
        if hasOwnMetrics {
            try? state.add(CollectionPlan(diagnostics, origin: .own, diagnostics: diagnostics))
        }
        self.state = Guarded(state)
        handlers = HandlerStore(diagnostics)
        if hasOwnMetrics {
            try? add(OverflowCollector(registry: self), .own)
            try? add(SeriesCollector(registry: self), .own)
        }
    }

    var diagnostics: Diagnostics { context.diagnostics }

    /// Removes a metric family, or the whole collector that exposes it.
    ///
    /// Instruments that the caller kept still work, but are not exposed. The name can be registered
    /// again with another definition.
    ///
    /// - Parameter name: The registered name, with or without `_total` or `_info`.
    /// - Returns: Whether there was such a family.
    @discardableResult
    public func unregister(_ name: String) -> Bool {
        // Release the removed objects when this returns, outside the lock: a callback may have
        // captured an object whose `deinit` calls this registry.
        let removed = state.withLock { $0.remove(name) }
        return withExtendedLifetime(removed) { removed != nil }
    }

    /// Whether a collector with this name is registered.
    package func isCollecting(_ name: String) -> Bool {
        snapshot.plans.contains { $0.name == name }
    }

    /// An object shared by several instruments in this registry, created at the first request.
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

    /// The log that receives the registry's advice.
    package var log: DiagnosticLog { diagnostics.log }

    /// The number of swift-metrics handlers that have an owner.
    package var handlerCount: Int { handlers.count }

    /// The number of scrapes that wait for a render they will share.
    package var waitingScrapes: Int { renders.waiting }

    /// The current families, in the order in which they are written.
    var snapshot: RegistrySnapshot {
        state.withLock { $0.snapshot() }
    }

    // MARK: - Registration

    /// Registers a family, or returns the existing one with the same definition.
    func core(
        _ kind: MetricKind, _ name: String, _ help: String, _ labels: [String],
        _ buckets: Buckets? = nil, limit: SeriesLimit = .default
    ) throws(RegistrationError) -> FamilyCore {
        let definition = try MetricDefinition(
            kind, name, help: help, labels: labels, buckets: buckets, names: names)
        return try core(definition, given: name, limit: limit)
    }

    /// Registers a family, or returns the existing one with the same definition.
    func core(
        _ definition: MetricDefinition, given name: String, limit: SeriesLimit = .default
    ) throws(RegistrationError) -> FamilyCore {
        try state.withLock { (state) throws(RegistrationError) in
            try state.findOrAdd(
                definition.using(histograms), given: name, limit: limit, context)
        }
    }

    /// Registers a family, or logs the error and creates one that is not exposed.
    func coreOrDetached(
        _ kind: MetricKind, _ name: String, _ help: String, _ labels: [String],
        _ buckets: Buckets? = nil, limit: SeriesLimit = .default
    ) -> FamilyCore {
        do {
            return try core(kind, name, help, labels, buckets, limit: limit)
        } catch {
            diagnostics.refuse(error, "the instrument works, but is not exposed")
            let definition = MetricDefinition(
                unchecked: kind, name, help: help, labels: labels, buckets: buckets)
            return FamilyCore(definition, limit: limit, context)
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
