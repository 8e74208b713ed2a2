// SPDX-License-Identifier: Apache-2.0
// What a factory for swift-metrics can be told: how names are made, and which buckets there are.

extension OutriderMetricsFactory {
    /// How names are made and which buckets histograms have.
    public struct Configuration: Sendable {
        /// How a metric is named after its label.
        public var naming: Naming = .prometheus
        /// Buckets for timers and aggregating recorders by name; the first rule that fits holds.
        ///
        /// A histogram that is there already keeps its buckets, whoever registered it.
        public var buckets: [BucketRule] = []
        /// Buckets of timers for which there is no rule, in seconds.
        public var defaultTimerBuckets: Buckets = .default
        /// Buckets of aggregating recorders for which there is no rule: 1 to 1,000,000.
        public var defaultRecorderBuckets: Buckets = [
            1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000, 1_000_000,
        ]
        /// How many series each metric may have, and how long idle ones are shown.
        ///
        /// A series whose handler is never destroyed keeps its place even while it is not shown.
        public var limit: SeriesLimit = .standard

        /// The defaults.
        public init() {}

        /// What a service that comes from swift-prometheus had: its names and its buckets.
        ///
        /// Source: swift-prometheus 2.3, `PrometheusMetricsFactory.init(registry:)`.
        public static var swiftPrometheus: Configuration {
            var configuration = Configuration()
            configuration.naming = .verbatim
            let buckets: Buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
            configuration.defaultTimerBuckets = buckets
            configuration.defaultRecorderBuckets = buckets
            return configuration
        }
    }

    /// How a metric is named after its label in swift-metrics.
    ///
    /// Characters that Prometheus does not take in a name become `_` in either case, and a label of
    /// a series that Prometheus keeps for itself (`le`, `quantile`, `__…`) has `exported_` before
    /// it, as Prometheus itself would do.
    public struct Naming: Hashable, Sendable {
        let keepsNames: Bool

        /// As Prometheus wants it: counters end in `_total`, timers in `_seconds`.
        ///
        /// A name that starts with a digit gets `_` before it.
        public static let prometheus = Naming(keepsNames: false)
        /// As the label is, for dashboards and rules that were made with swift-prometheus.
        ///
        /// OpenMetrics has no counter without `_total`; such a one is of unknown type there, under
        /// the same name. A digit at the start of a name becomes `_`.
        public static let verbatim = Naming(keepsNames: true)
    }

    /// Buckets for the timers and aggregating recorders whose name fits a pattern.
    ///
    /// ```swift
    /// BucketRule("http.server.*", .lowLatency)
    /// ```
    public struct BucketRule: Sendable {
        /// The label in swift-metrics, or the name as it is exposed; `*` stands for any characters.
        public var pattern: String
        /// The buckets: seconds for timers, else the recorder's own unit.
        public var buckets: Buckets

        /// A rule.
        public init(_ pattern: String, _ buckets: Buckets) {
            self.pattern = pattern
            self.buckets = buckets
        }

        func matches(_ name: String) -> Bool {
            Self.matches(Array(pattern.utf8)[...], Array(name.utf8)[...])
        }

        /// Linear but for one step back to the last `*` at a time.
        private static func matches(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool
        {
            var (place, position) = (pattern.startIndex, name.startIndex)
            var retry: (place: Int, position: Int)?
            while position < name.endIndex {
                if place < pattern.endIndex, pattern[place] == UInt8(ascii: "*") {
                    place += 1
                    retry = (place, position)
                } else if place < pattern.endIndex, pattern[place] == name[position] {
                    place += 1
                    position += 1
                } else if let last = retry {
                    place = last.place
                    position = last.position + 1
                    retry = (place, position)
                } else {
                    return false
                }
            }
            return pattern[place...].allSatisfy { $0 == UInt8(ascii: "*") }
        }
    }
}
