// SPDX-License-Identifier: Apache-2.0
// What a recorder of incoming requests can be told.

public import OutriderMetrics

extension HTTPRequestRecorder {
    /// What a recorder records, and under which names.
    public struct Configuration: Sendable {
        /// Names and labels.
        public var naming: Naming = .openTelemetry
        /// Upper bounds of the buckets of durations, in seconds; see ``Buckets/lowLatency``.
        public var buckets: Buckets = .default
        /// Templates of routes of which nothing is recorded: `/healthz`.
        ///
        /// What no route matched is recorded in any case. Where a service learns the route late, the
        /// request is in flight until then.
        public var excludedRoutes: Set<String> = []
        /// Templates of routes whose time ends with the head of the answer: server-sent events,
        /// long polls, and whatever else lasts as long as its client likes.
        public var streamingRoutes: Set<String> = []
        /// Methods to tell apart beside the nine of RFC 9110 and RFC 5789, such as `QUERY`; the
        /// first six count.
        public var additionalMethods: [String] = []
        /// Whether there are `http_server_request_body_size_bytes` and
        /// `http_server_response_body_size_bytes`, two more histograms for each label set.
        public var recordsBodySizes = false
        /// Whether there is `http_server_time_to_first_byte_seconds`, one more histogram.
        public var recordsTimeToFirstByte = false
        /// How many label sets, and how many routes, each family may have.
        public var limit = SeriesLimit(count: 1_000)
        /// The `traceparent` of the trace that runs now; nil if there is none.
        ///
        /// Asked on the thread or in the task that finishes a request, before the request's own
        /// header is looked at, and not within a second of the bucket's last exemplar. The product
        /// `OutriderTracing` has one for swift-distributed-tracing.
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
        /// What many dashboards ask for: `http_requests_total{method,route,code}`,
        /// `http_request_duration_seconds{method,route,code}`, `http_requests_in_flight`.
        public static let prometheus = Naming(hasOpenTelemetry: false, hasPrometheus: true)
        /// Both, for the time of a migration: twice the series.
        public static let both = Naming(hasOpenTelemetry: true, hasPrometheus: true)
    }

    /// What came over a connection and was no request.
    public enum ProtocolError: String, CaseIterable, Sendable {
        /// Bytes that are no HTTP.
        case parse
        /// A head larger than the server allows.
        case headerTooLarge = "header_too_large"
        /// A request that was not complete in time.
        case timeout
        /// A handshake of TLS that failed.
        case tls
        /// Anything else.
        case other
    }
}
