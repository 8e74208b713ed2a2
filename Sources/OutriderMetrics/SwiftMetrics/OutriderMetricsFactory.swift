// SPDX-License-Identifier: Apache-2.0
// The swift-metrics backend, which exposes the metrics of libraries along with a service's own.
//
// It holds no metrics itself; they belong to the registry, so two factories on one registry return
// the same handlers. A factory only decides how names are made and which buckets histograms have.

public import CoreMetrics

/// A swift-metrics factory that records into a ``Registry``.
///
/// ```swift
/// let agent = Agent.start()
/// MetricsSystem.bootstrap(agent.metricsFactory)
/// ```
///
/// | swift-metrics | Prometheus |
/// |---|---|
/// | `Counter`, `FloatingPointCounter` | counter, `_total` added |
/// | `Meter`, `Gauge`, `Recorder(aggregate: false)` | gauge |
/// | `Recorder` | histogram |
/// | `Timer` | histogram in seconds, `_seconds` added |
///
/// The same label and dimensions, in any order, give the same handler. Of two dimensions with the
/// same name, the last one wins; an empty value is the same as a missing dimension. Names that
/// differ only in characters that Prometheus does not allow (`a.b`, `a-b`) are one metric. Series
/// of one metric may have different dimension names.
///
/// Nothing here fails or ends the process. A metric that cannot be exposed (its name has another
/// type, or its dimensions differ from those of a metric of the direct API) works, but is not
/// exposed. It is logged once and counted in `outrider_registrations_refused_total{reason}`.
///
/// Each `Counter(label:)` adds an owner to a handler, and `destroy()` removes one; the series is
/// removed with its last owner. Creating it again starts from zero. A series registered through the
/// direct API stays.
///
/// Thread-safe. A handler that is kept costs the same as an instrument. Getting an existing handler
/// takes one of 16 locks for a short time and allocates nothing (cost: docs/swift-metrics.md).
public final class OutriderMetricsFactory: MetricsFactory, Sendable {
    private let registry: Registry
    private let rules: NamingRules

    /// Creates a factory for a registry.
    ///
    /// Invalid bucket rules are ignored, logged and counted.
    public init(registry: Registry = .shared, configuration: Configuration = Configuration()) {
        self.registry = registry
        rules = NamingRules(configuration) { pattern, problem in
            registry.diagnostics.refuse(
                RegistrationError(code: .invalidBuckets, metric: pattern, advice: problem),
                "these buckets are ignored")
        }
    }

    // MARK: - Creation

    /// Returns a counter.
    ///
    /// A negative increment is refused and counted. `reset()` starts it from zero again, like a
    /// restart of the process.
    public func makeCounter(
        label: String, dimensions: [(String, String)]
    ) -> any CoreMetrics.CounterHandler {
        counter(label, dimensions)
    }

    /// Returns the same counter as `makeCounter`; it accepts fractions and does not round them.
    ///
    /// A negative, infinite or NaN increment is refused and counted.
    public func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        counter(label, dimensions)
    }

    /// Returns a gauge.
    ///
    /// A negative increment is a decrement. An infinite or NaN increment is refused and counted.
    public func makeMeter(
        label: String, dimensions: [(String, String)]
    ) -> any MeterHandler {
        gauge(label, dimensions)
    }

    /// Returns a histogram if it aggregates, otherwise the same gauge as `makeMeter`.
    ///
    /// An infinite or NaN observation of a histogram is refused and counted.
    public func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        guard aggregate else { return gauge(label, dimensions) }
        return histogram(.recorder, label, dimensions)
    }

    /// Returns a histogram in seconds, whatever display unit is preferred.
    ///
    /// A negative duration is refused and counted.
    public func makeTimer(
        label: String, dimensions: [(String, String)]
    ) -> any TimerHandler {
        histogram(.timer, label, dimensions)
    }

    // MARK: - Destruction

    /// Removes an owner from a counter; the last owner takes the series with it.
    ///
    /// These methods ignore handlers that do not belong to this registry.
    public func destroyCounter(_ handler: any CoreMetrics.CounterHandler) {
        registry.handlers.destroy(handler)
    }

    /// Removes an owner from a counter; the last owner takes the series with it.
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {
        registry.handlers.destroy(handler)
    }

    /// Removes an owner from a gauge; the last owner takes the series with it.
    public func destroyMeter(_ handler: any MeterHandler) {
        registry.handlers.destroy(handler)
    }

    /// Removes an owner from a histogram or gauge; the last owner takes the series with it.
    public func destroyRecorder(_ handler: any RecorderHandler) {
        registry.handlers.destroy(handler)
    }

    /// Removes an owner from a histogram; the last owner takes the series with it.
    public func destroyTimer(_ handler: any TimerHandler) {
        registry.handlers.destroy(handler)
    }

    // MARK: - Handlers by kind

    // SAFETY (of the casts): the store creates handlers of the class that belongs to each form.

    private func counter(
        _ label: String, _ dimensions: [(String, String)]
    ) -> CounterSeriesHandler {
        unsafe unsafeDowncast(
            handler(.counter, label, dimensions), to: CounterSeriesHandler.self)
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> GaugeSeriesHandler {
        unsafe unsafeDowncast(handler(.gauge, label, dimensions), to: GaugeSeriesHandler.self)
    }

    private func histogram(
        _ form: HandlerForm, _ label: String, _ dimensions: [(String, String)]
    ) -> HistogramSeriesHandler {
        unsafe unsafeDowncast(
            handler(form, label, dimensions), to: HistogramSeriesHandler.self)
    }

    private func handler(
        _ form: HandlerForm, _ label: String, _ dimensions: [(String, String)]
    ) -> SeriesHandler {
        registry.handlers.handler(
            form, label: label, dimensions: dimensions, rules: rules, registry: registry)
    }
}
