// SPDX-License-Identifier: Apache-2.0
// A registered collector with its families, which are checked once, and the calls to it.

internal import Synchronization

/// A registered collector and the families that it declared.
final class CollectionPlan: Sendable {
    /// A declared family, ready to be written; a class, since each sample refers to it.
    final class PlannedFamily: Sendable {
        let definition: MetricDefinition
        let givenName: String
        let texts: FamilyTexts
        let labelHeads: LabelHeads
        let order: [Int]?

        init(_ family: CollectedFamily, _ names: MetricNames) throws(RegistrationError) {
            definition = try MetricDefinition(
                family.kind, family.name, help: family.help, labels: family.labels, names: names)
            givenName = family.name
            texts = FamilyTexts(definition)
            labelHeads = LabelHeads(definition.labels)
            order = definition.order(of: family.labels)
        }
    }

    let name: String
    let families: [PlannedFamily]
    /// The index of each family in `families`, by the name that the collector uses.
    private let indices: [String: Int]
    let diagnostics: Diagnostics
    let origin: Origin
    private let collector: any Collector
    private let isFailing = Atomic<Bool>(false)
    private let abandonedCalls = Atomic<Int>(0)
    /// When the first of the abandoned calls began, in milliseconds of the clock's uptime.
    private let abandonedSince = Atomic<Int64>(0)

    /// The origin of a collector.
    enum Origin {
        /// The registry's own: it cannot fail or hang.
        case own
        /// A closure of the service, named after its only family.
        case callback
        /// A collector of the service, with its own name.
        case collector
    }

    init(
        _ collector: any Collector, origin: Origin, names: MetricNames = .classic,
        diagnostics: Diagnostics
    ) throws(RegistrationError) {
        let declared = collector.families
        var planned: [PlannedFamily] = []
        for family in declared { planned.append(try PlannedFamily(family, names)) }
        families = planned
        indices = Dictionary(
            zip(declared.map(\.name), declared.indices), uniquingKeysWith: { first, _ in first })
        name = collector.name
        self.collector = collector
        self.origin = origin
        self.diagnostics = diagnostics
    }

    /// The index of a family; `hint` is the index that the caller expects.
    func index(of family: CollectedFamily, hint: Int) -> Int? {
        // Collectors usually add all samples of one family before those of the next.
        for index in hint...hint + 1 where index < families.count {
            if families[index].givenName == family.name { return index }
        }
        return indices[family.name]
    }

    /// Calls the collector; nil if it throws, which is counted and logged.
    func collectReporting(to metrics: ScrapeMetrics) -> [CollectedSamples.Series]? {
        var samples = CollectedSamples(self)
        do {
            try collector.collect(into: &samples)
        } catch {
            fail("\(error)", metrics)
            return nil
        }
        return samples.series
    }

    // ORDERING: relaxed, here and below; the flag and the counts do not guard other memory.

    /// Notes that the collector returned in time.
    func noteSuccess() { isFailing.store(false, ordering: .relaxed) }

    /// Counts that the collector was left out of a scrape; logs the reason once until it works
    /// again.
    func fail(_ reason: String, _ metrics: ScrapeMetrics) {
        metrics.collectorFailures.with(name).increment()
        if isFailing.exchange(true, ordering: .relaxed) { return }
        diagnostics.log.report(
            .warning, about: "collector:\(name)",
            "collector \"\(name)\" was left out of a scrape: \(reason)")
    }

    /// Whether a call that a scrape abandoned has not returned yet.
    var isStuck: Bool { abandonedCalls.load(ordering: .relaxed) > 0 }

    /// Whether such a call has taken longer than any scrape allows.
    func isHung(at uptime: Duration) -> Bool {
        let since = Duration.milliseconds(abandonedSince.load(ordering: .relaxed))
        return isStuck && uptime - since > ScrapeTimeout.own
    }

    /// Notes that a scrape abandoned a call that began at `uptime`.
    func noteAbandoned(since uptime: Duration) {
        if abandonedCalls.wrappingAdd(1, ordering: .relaxed).oldValue == 0 {
            abandonedSince.store(Int64(uptime / .milliseconds(1)), ordering: .relaxed)
        }
    }

    /// Notes that an abandoned call returned.
    func noteReturn() { abandonedCalls.wrappingSubtract(1, ordering: .relaxed) }
}

/// A counter or gauge whose value a closure returns.
struct CallbackCollector: Collector {
    let family: CollectedFamily
    let read: @Sendable () -> Double

    var name: String { family.name }
    var families: [CollectedFamily] { [family] }

    func collect(into samples: inout CollectedSamples) {
        samples.add(family, read())
    }
}
