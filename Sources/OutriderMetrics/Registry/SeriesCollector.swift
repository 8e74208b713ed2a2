// SPDX-License-Identifier: Apache-2.0
// Metrics about the number of series, for alerts before a family reaches its limit.

/// Exposes the number of series in total and of the families nearest to their limits.
struct SeriesCollector: Collector {
    /// The maximum number of families: each adds two series.
    private static let familyLimit = 20

    private static let series = CollectedFamily.gauge(
        "outrider_series",
        help: "Series of a family, for the 20 families nearest to their limits.",
        labels: ["family"])
    private static let limit = CollectedFamily.gauge(
        "outrider_series_limit",
        help: "Maximum series of a family; further lookups get its overflow series.",
        labels: ["family"])
    private static let all = CollectedFamily.gauge(
        "outrider_registry_series",
        help:
            "Series of all counters, gauges, histograms and infos, without those of collectors."
    )

    weak let registry: Registry?

    var name: String { "series" }
    var families: [CollectedFamily] { [Self.series, Self.limit, Self.all] }

    func collect(into samples: inout CollectedSamples) {
        guard let registry else { return }
        var total = 0
        var limited: [(name: String, count: Int, limit: Int)] = []
        for case .instruments(let core) in registry.snapshot.entries {
            let count = core.count
            total += count
            if let limit = core.seriesLimit { limited.append((core.definition.name, count, limit)) }
        }
        // The registry is sorted by name, so ties are always resolved in the same way.
        let nearest = limited.enumerated().sorted { first, second in
            let (one, other) = (first.element, second.element)
            let shares = (
                Double(one.count) / Double(one.limit), Double(other.count) / Double(other.limit)
            )
            return shares.0 == shares.1 ? first.offset < second.offset : shares.0 > shares.1
        }.prefix(Self.familyLimit)
            // The same order in each scrape, whichever family is nearest.
            .sorted { $0.offset < $1.offset }.map(\.element)
        for family in nearest { samples.add(Self.series, family.count, family.name) }
        for family in nearest { samples.add(Self.limit, family.limit, family.name) }
        samples.add(Self.all, total)
    }
}
