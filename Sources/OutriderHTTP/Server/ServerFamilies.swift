// SPDX-License-Identifier: Apache-2.0
// The metric families of incoming requests.
//
// Source of the names: OpenTelemetry's semantic conventions for HTTP metrics, in the spelling of
// Prometheus.

internal import OutriderMetrics

/// The gauges of requests in flight with one method and scheme.
final class InFlightGauges: Sendable {
    private let openTelemetry: Gauge?
    private let prometheus: Gauge?

    init(_ openTelemetry: Gauge?, _ prometheus: Gauge?) {
        self.openTelemetry = openTelemetry
        self.prometheus = prometheus
    }

    func enter() {
        openTelemetry?.increment()
        prometheus?.increment()
    }

    func leave() {
        openTelemetry?.decrement()
        prometheus?.decrement()
    }
}

/// The families that a recorder records into.
struct ServerFamilies: Sendable {
    let aborted: Family<Counter>
    let protocolErrors: Family<Counter>
    private let duration: Family<Histogram>
    private let prometheusDuration: Family<Histogram>?
    private let naming: HTTPRequestRecorder.Naming
    private let total: Family<Counter>?
    private let requestSizes: Family<Histogram>?
    private let responseSizes: Family<Histogram>?
    private let timesToFirstByte: Family<Histogram>?
    private let active: Family<Gauge>?
    private let inFlight: Gauge?

    private static let labels = [
        "http_request_method", "url_scheme", "http_route", "http_response_status_code",
        "error_type",
    ]
    private static let prometheusLabels = ["method", "route", "code"]
    /// Sizes in bytes: 64 B to 64 MiB.
    private static let sizes = Buckets.exponential(start: 64, factor: 4, count: 11)

    init(in registry: Registry, _ configuration: HTTPRequestRecorder.Configuration) {
        let limit = configuration.limit
        func histogram(
            _ name: String, _ help: String, _ labels: [String], _ buckets: Buckets
        ) -> Family<Histogram> {
            registry.histogram(name, help: help, labels: labels, buckets: buckets, limit: limit)
        }
        let naming = configuration.naming
        self.naming = naming
        func durations(_ name: String, _ labels: [String]) -> Family<Histogram> {
            histogram(name, "Duration of HTTP requests.", labels, configuration.buckets)
        }
        if naming.hasOpenTelemetry {
            duration = durations("http_server_request_duration_seconds", Self.labels)
            prometheusDuration =
                naming.hasPrometheus
                ? durations("http_request_duration_seconds", Self.prometheusLabels) : nil
        } else {
            duration = durations("http_request_duration_seconds", Self.prometheusLabels)
            prometheusDuration = nil
        }
        total =
            naming.hasPrometheus
            ? registry.counter(
                "http_requests_total", help: "Completed HTTP requests.",
                labels: Self.prometheusLabels,
                limit: limit) : nil
        active =
            naming.hasOpenTelemetry
            ? registry.gauge(
                "http_server_active_requests", help: "HTTP requests in progress.",
                labels: ["http_request_method", "url_scheme"]) : nil
        inFlight =
            naming.hasPrometheus
            ? registry.gauge("http_requests_in_flight", help: "HTTP requests in progress.") : nil
        let hasSizes = configuration.recordsBodySizes
        requestSizes =
            hasSizes
            ? histogram(
                "http_server_request_body_size_bytes", "Bytes read of request bodies.",
                Self.labels, Self.sizes) : nil
        responseSizes =
            hasSizes
            ? histogram(
                "http_server_response_body_size_bytes", "Bytes written of response bodies.",
                Self.labels, Self.sizes) : nil
        timesToFirstByte =
            configuration.recordsTimeToFirstByte
            ? histogram(
                "http_server_time_to_first_byte_seconds", "Time to the head of the response.",
                Self.labels, configuration.buckets) : nil
        aborted = registry.counter(
            "http_server_aborted_requests_total",
            help: "Responses aborted after their head.", labels: ["http_route"],
            limit: limit)
        protocolErrors = registry.counter(
            "http_server_protocol_errors_total",
            help: "Input that could not be parsed as an HTTP request.", labels: ["reason"])
    }

    /// The gauges of requests in flight with this method and scheme.
    func gauges(method: String, scheme: URLScheme) -> InFlightGauges {
        InFlightGauges(active?.with(method, scheme.label), inFlight)
    }

    /// The instruments for one label set, and whether they are its own rather than the overflow's.
    func series(
        method: String, scheme: URLScheme, route: String, status: String, error: String
    ) -> (series: RequestSeries, isKept: Bool) {
        var isKept = true
        func find<Instrument>(_ family: Family<Instrument>, _ values: [String]) -> Instrument {
            let (instrument, isOverflow) = family.resolve(values)
            if isOverflow { isKept = false }
            return instrument
        }
        let values = [method, scheme.label, route, status, error]
        let prometheusValues = [method, route, status]
        let series = RequestSeries(
            duration: DurationSeries(
                find(duration, naming.hasOpenTelemetry ? values : prometheusValues)),
            prometheusDuration: prometheusDuration.map {
                DurationSeries(find($0, prometheusValues))
            },
            total: total.map { find($0, prometheusValues) },
            requestSize: requestSizes.map { find($0, values) },
            responseSize: responseSizes.map { find($0, values) },
            timeToFirstByte: timesToFirstByte.map { find($0, values) })
        return (series, isKept)
    }
}
