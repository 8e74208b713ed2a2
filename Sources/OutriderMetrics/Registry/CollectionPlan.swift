// SPDX-License-Identifier: Apache-2.0
// A registered collector: its families, checked once, and how to ask it.

internal import Synchronization

/// One collector of a registry and the families it declared.
final class CollectionPlan: Sendable {
    /// A declared family, ready to be printed; a reference, since each sample looks at it.
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
    /// Where in `families` a family stands, by the name that the collector gave it.
    private let indices: [String: Int]
    let diagnostics: Diagnostics
    let origin: Origin
    private let collector: any Collector
    private let isFailing = Atomic<Bool>(false)
    private let abandonedCalls = Atomic<Int>(0)
    /// When the first of them began, in milliseconds of the clock's uptime.
    private let abandonedSince = Atomic<Int64>(0)

    /// Whose a collector is.
    enum Origin {
        /// The registry's: it cannot fail or hang.
        case own
        /// A closure of the service's, under the name of its one family.
        case callback
        /// The service's, with a name of its own.
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

    /// Where a family stands; `hint` is where the caller expects it.
    func index(of family: CollectedFamily, hint: Int) -> Int? {
        // Collectors fill their families one after the other, several samples each.
        for place in hint...hint + 1 where place < families.count {
            if families[place].givenName == family.name { return place }
        }
        return indices[family.name]
    }

    /// Asks the collector; nil if it throws, which is counted and told.
    func collectReporting(to figures: ScrapeFigures) -> [CollectedSamples.Series]? {
        var samples = CollectedSamples(self)
        do {
            try collector.collect(into: &samples)
        } catch {
            fail("\(error)", figures)
            return nil
        }
        return samples.series
    }

    // ORDERING: relaxed, here and below; the flag and the counts guard no memory.

    /// An answer came in time.
    func noteSuccess() { isFailing.store(false, ordering: .relaxed) }

    /// Counts that the collector was left out of a scrape, and says why, once until it works again.
    func fail(_ reason: String, _ figures: ScrapeFigures) {
        figures.collectorFailures.with(name).increment()
        if isFailing.exchange(true, ordering: .relaxed) { return }
        diagnostics.log.say(
            .warning, about: "collector:\(name)",
            "collector \"\(name)\" was left out of a scrape: \(reason)")
    }

    /// Whether a call that a scrape did not wait for has not come back yet.
    var isStuck: Bool { abandonedCalls.load(ordering: .relaxed) > 0 }

    /// Whether such a call has had more time than any scrape gives.
    func isHung(at uptime: Duration) -> Bool {
        let since = Duration.milliseconds(abandonedSince.load(ordering: .relaxed))
        return isStuck && uptime - since > ScrapeTimeout.own
    }

    /// A scrape waits no longer for a call that began then.
    func noteAbandoned(since uptime: Duration) {
        if abandonedCalls.wrappingAdd(1, ordering: .relaxed).oldValue == 0 {
            abandonedSince.store(Int64(uptime / .milliseconds(1)), ordering: .relaxed)
        }
    }

    /// A call came back that a scrape had abandoned.
    func noteReturn() { abandonedCalls.wrappingSubtract(1, ordering: .relaxed) }
}

/// A counter or gauge whose value a closure tells.
struct CallbackCollector: Collector {
    let family: CollectedFamily
    let read: @Sendable () -> Double

    var name: String { family.name }
    var families: [CollectedFamily] { [family] }

    func collect(into samples: inout CollectedSamples) {
        samples.add(family, read())
    }
}
