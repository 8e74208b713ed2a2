// SPDX-License-Identifier: Apache-2.0
// A registered collector: its families, checked once, and how to ask it.

/// One collector of a registry and the families it declared.
final class CollectionPlan: Sendable {
    /// A declared family, ready to be printed.
    struct PlannedFamily: Sendable {
        let definition: MetricDefinition
        let givenName: String
        let text: FamilyText
        let labelHeads: LabelHeads
        let order: [Int]?

        init(_ family: CollectedFamily) throws(RegistrationError) {
            definition = try MetricDefinition(
                family.kind, family.name, help: family.help, labels: family.labels)
            givenName = family.name
            text = FamilyText(definition)
            labelHeads = LabelHeads(definition.labels)
            order = definition.order(of: family.labels)
        }
    }

    let name: String
    let families: [PlannedFamily]
    /// Where in `families` a family stands, by the name that the collector gave it.
    let indices: [String: Int]
    let diagnostics: Diagnostics
    /// Whether its duration and failures are exposed; not for what is merely a closure.
    let isReported: Bool
    private let collector: any Collector

    init(
        _ collector: any Collector, isReported: Bool, diagnostics: Diagnostics
    ) throws(RegistrationError) {
        let declared = collector.families
        var planned: [PlannedFamily] = []
        for family in declared { planned.append(try PlannedFamily(family)) }
        families = planned
        indices = Dictionary(
            zip(declared.map(\.name), declared.indices), uniquingKeysWith: { first, _ in first })
        name = collector.name
        self.collector = collector
        self.isReported = isReported
        self.diagnostics = diagnostics
    }

    /// Asks the collector.
    func collect() throws -> [CollectedSamples.Series] {
        var samples = CollectedSamples(self)
        try collector.collect(into: &samples)
        return samples.series
    }
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
