// SPDX-License-Identifier: Apache-2.0
// The backend for swift-metrics: what libraries record there is exposed beside a service's own.
//
// It holds no metrics. They are the registry's, so two factories on one registry hand out the same
// handlers; a factory adds how names are made and which buckets a histogram has.

public import CoreMetrics

/// Records what swift-metrics is given in a ``Registry``.
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
/// The same label and dimensions, in any order, give the same handler. Of two dimensions with one
/// name the last wins; an empty value is the same as none. Names that differ only in characters
/// that Prometheus has not (`a.b`, `a-b`) are one metric. Series of one name may differ in the
/// names of their dimensions.
///
/// Nothing here fails or ends the process. What cannot be exposed (a name that another type has,
/// dimensions that a metric of the direct API has not) works, unseen; that is logged once and
/// counted in `outrider_registrations_refused_total{reason}`.
///
/// `destroy()` takes one owner away from a handler, and each `Counter(label:)` adds one: the series
/// goes with the last. Making it again starts at zero. A series that the direct API registered
/// stays.
///
/// Thread-safe. A kept handler costs what an instrument does. Making one that is there already
/// takes a short lock, one of 16, and no allocation (cost: docs/swift-metrics.md).
public final class OutriderMetricsFactory: MetricsFactory, Sendable {
    private let registry: Registry
    private let rules: NamingRules

    /// A factory for this registry.
    ///
    /// Bucket rules that make no sense are passed over, logged and counted.
    public init(registry: Registry = .shared, configuration: Configuration = Configuration()) {
        self.registry = registry
        rules = NamingRules(configuration) { pattern, problem in
            registry.diagnostics.refuse(
                RegistrationError(code: .invalidBuckets, metric: pattern, advice: problem),
                "these buckets are passed over")
        }
    }

    // MARK: - Made

    /// A counter.
    ///
    /// An increment that is negative is refused and counted. `reset()` starts it at zero again, as
    /// a restart of the process would.
    public func makeCounter(
        label: String, dimensions: [(String, String)]
    ) -> any CoreMetrics.CounterHandler {
        counter(label, dimensions)
    }

    /// A counter that takes fractions, none of which is rounded; the one that `makeCounter` gives.
    ///
    /// An increment that is negative, infinite or NaN is refused and counted.
    public func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        counter(label, dimensions)
    }

    /// A gauge.
    ///
    /// A negative increment is a decrement. One that is infinite or NaN is refused and counted.
    public func makeMeter(
        label: String, dimensions: [(String, String)]
    ) -> any MeterHandler {
        gauge(label, dimensions)
    }

    /// A histogram if it aggregates, else a gauge, the one that `makeMeter` gives.
    ///
    /// An infinite or NaN observation of a histogram is refused and counted.
    public func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        guard aggregate else { return gauge(label, dimensions) }
        return histogram(.recorder, label, dimensions)
    }

    /// A histogram in seconds, whatever unit is preferred for display.
    ///
    /// A negative duration is refused and counted.
    public func makeTimer(
        label: String, dimensions: [(String, String)]
    ) -> any TimerHandler {
        histogram(.timer, label, dimensions)
    }

    // MARK: - Destroyed

    /// Takes one owner from a counter; with the last the series goes.
    ///
    /// Here and below, a handler that is not of this registry is left alone.
    public func destroyCounter(_ handler: any CoreMetrics.CounterHandler) {
        registry.handlers.destroy(handler)
    }

    /// Takes one owner from a counter; with the last the series goes.
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {
        registry.handlers.destroy(handler)
    }

    /// Takes one owner from a gauge; with the last the series goes.
    public func destroyMeter(_ handler: any MeterHandler) {
        registry.handlers.destroy(handler)
    }

    /// Takes one owner from a histogram or gauge; with the last the series goes.
    public func destroyRecorder(_ handler: any RecorderHandler) {
        registry.handlers.destroy(handler)
    }

    /// Takes one owner from a histogram; with the last the series goes.
    public func destroyTimer(_ handler: any TimerHandler) {
        registry.handlers.destroy(handler)
    }

    // MARK: - By kind

    // SAFETY (of the casts): the store makes the handler that belongs to the kind of a form.

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
