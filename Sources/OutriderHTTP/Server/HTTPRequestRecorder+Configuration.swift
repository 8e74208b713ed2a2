// SPDX-License-Identifier: Apache-2.0
// Configuration of a recorder of incoming requests.

public import OutriderMetrics

extension HTTPRequestRecorder {
    /// The metrics of a recorder, and their names and buckets.
    public struct Configuration: Sendable {
        /// Names of metrics and labels.
        public var naming: Naming = .openTelemetry
        /// Upper bounds of the duration buckets, in seconds; see ``Buckets/lowLatency``.
        public var buckets: Buckets = .default
        /// Templates of routes whose requests are not recorded, such as `/healthz`.
        ///
        /// Requests that match no route are always recorded. If a service determines the route
        /// late, the request counts as in flight until then.
        public var excludedRoutes: Set<String> = []
        /// Templates of routes whose time ends with the head of the response: server-sent events,
        /// long polls, and other responses whose clients decide how long they last.
        public var streamingRoutes: Set<String> = []
        /// Methods to distinguish in addition to the nine of RFC 9110 and RFC 5789, such as
        /// `QUERY`; only the first six are used.
        public var additionalMethods: [String] = []
        /// Whether to record `http_server_request_body_size_bytes` and
        /// `http_server_response_body_size_bytes`: two more histograms for each label set.
        public var recordsBodySizes = false
        /// Whether to record `http_server_time_to_first_byte_seconds`: one more histogram.
        public var recordsTimeToFirstByte = false
        /// The maximum number of label sets of each family, and of routes.
        public var limit = SeriesLimit(count: 1_000)
        /// Returns the `traceparent` of the current trace; nil if there is none.
        ///
        /// Called on the thread or in the task that finishes a request, before the request's own
        /// header is read, and not within a second of the bucket's last exemplar. The product
        /// `OutriderTracing` provides one for swift-distributed-tracing.
        public var traceparent: (@Sendable () -> String?)?

        /// The defaults.
        public init() {}
    }

    /// Names of metrics and labels.
    public struct Naming: Hashable, Sendable {
        let hasOpenTelemetry: Bool
        let hasPrometheus: Bool

        /// OpenTelemetry's conventions in Prometheus spelling:
        /// `http_server_request_duration_seconds{http_route}`.
        public static let openTelemetry = Naming(hasOpenTelemetry: true, hasPrometheus: false)
        /// The names that many dashboards use: `http_requests_total{method,route,code}`,
        /// `http_request_duration_seconds{method,route,code}`, `http_requests_in_flight`.
        public static let prometheus = Naming(hasOpenTelemetry: false, hasPrometheus: true)
        /// Both, for the time of a migration: twice the series.
        public static let both = Naming(hasOpenTelemetry: true, hasPrometheus: true)
    }

    /// Input that could not be parsed as an HTTP request.
    public enum ProtocolError: String, CaseIterable, Sendable {
        /// Bytes that are not HTTP.
        case parse
        /// A head larger than the server allows.
        case headerTooLarge = "header_too_large"
        /// A request that did not arrive completely in time.
        case timeout
        /// A failed TLS handshake.
        case tls
        /// Anything else.
        case other
    }
}
