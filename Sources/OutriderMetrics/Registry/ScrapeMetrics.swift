// SPDX-License-Identifier: Apache-2.0
// Metrics about the scrapes of a registry, exposed by the registry itself.

/// The duration and size of scrapes, and the duration and failures of each collector.
struct ScrapeMetrics: Sendable {
    let duration: Histogram
    let bytes: Gauge
    let collectorDuration: Family<Gauge>
    let collectorFailures: Family<Counter>

    /// Records the duration of a collector; closures are not recorded.
    func note(_ plan: CollectionPlan, took duration: Duration) {
        if plan.origin == .collector {
            collectorDuration.with(plan.name).set(duration / .seconds(1))
        }
    }

    /// Registers the metrics in `state`, or creates them without exposing them.
    init(
        in state: inout RegistryState, isExposed: Bool, histograms: HistogramKind,
        _ context: RegistryContext
    ) {
        func core(
            _ kind: MetricKind, _ name: String, _ help: String, labels: [String] = [],
            buckets: Buckets? = nil
        ) -> FamilyCore {
            let definition = MetricDefinition(
                unchecked: kind, name, help: help, labels: labels, buckets: buckets
            ).using(histograms)
            let registered =
                isExposed
                ? try? state.findOrAdd(definition, given: name, context) : nil
            return registered ?? FamilyCore(definition, context)
        }
        let durationCore = core(
            .histogram, "outrider_scrape_duration_seconds",
            "Duration of scrapes, from the first collector to the last byte.",
            buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1])
        let bytesCore = core(
            .gauge, "outrider_scrape_bytes", "Size of the last scrape before compression, in bytes."
        )
        duration = Family<Histogram>(durationCore, labels: []).with([String]())
        bytes = Family<Gauge>(bytesCore, labels: []).with([String]())
        collectorDuration = Family(
            core(
                .gauge, "outrider_collector_duration_seconds",
                "Duration of a collector in the last scrape, in seconds.", labels: ["collector"]),
            labels: ["collector"])
        collectorFailures = Family(
            core(
                .counter, "outrider_collector_failures_total",
                "Scrapes that left a collector out because it failed or took too long.",
                labels: ["collector"]),
            labels: ["collector"])
    }
}
