// SPDX-License-Identifier: Apache-2.0
// The configuration of a factory for swift-metrics: names, buckets and limits.

extension OutriderMetricsFactory {
    /// The configuration of names, buckets and series limits.
    public struct Configuration: Sendable {
        /// How the name of a metric is derived from its label.
        public var naming: Naming = .prometheus
        /// Buckets for timers and aggregating recorders by name; the first matching rule applies.
        ///
        /// An existing histogram keeps its buckets, even if it was registered elsewhere.
        public var buckets: [BucketRule] = []
        /// Buckets of timers without a matching rule, in seconds.
        public var defaultTimerBuckets: Buckets = .default
        /// Buckets of aggregating recorders without a matching rule: 1 to 1,000,000.
        public var defaultRecorderBuckets: Buckets = [
            1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000, 1_000_000,
        ]
        /// How many series each metric may have, and how long idle ones are exposed.
        ///
        /// A series whose handler is never destroyed still counts towards the limit while it is
        /// hidden.
        public var limit: SeriesLimit = .default

        /// Creates the default configuration.
        public init() {}

        /// The names and buckets of swift-prometheus, for services that migrate from it.
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

    /// How the name of a metric is derived from its swift-metrics label.
    ///
    /// In both cases, `_` replaces characters that Prometheus does not allow in a name, and a label
    /// name that Prometheus reserves (`le`, `quantile`, `__…`) gets the prefix `exported_`, as in
    /// Prometheus itself.
    public struct Naming: Hashable, Sendable {
        let keepsNames: Bool

        /// The Prometheus conventions: counters end in `_total`, timers in `_seconds`.
        ///
        /// A name that starts with a digit gets the prefix `_`.
        public static let prometheus = Naming(keepsNames: false)
        /// The label as it is, for dashboards and rules made for swift-prometheus.
        ///
        /// OpenMetrics has no counter without `_total`, so such a counter has the type unknown
        /// there, under the same name. A digit at the start of a name becomes `_`.
        public static let verbatim = Naming(keepsNames: true)
    }

    /// Buckets for the timers and aggregating recorders whose name matches a pattern.
    ///
    /// ```swift
    /// BucketRule("http.server.*", .lowLatency)
    /// ```
    public struct BucketRule: Sendable {
        /// Matches the swift-metrics label or the exposed name; `*` stands for any characters.
        public var pattern: String
        /// The buckets: in seconds for timers, in the recorder's own unit otherwise.
        public var buckets: Buckets

        /// Creates a rule.
        public init(_ pattern: String, _ buckets: Buckets) {
            self.pattern = pattern
            self.buckets = buckets
        }

        func matches(_ name: String) -> Bool {
            Self.matches(Array(pattern.utf8)[...], Array(name.utf8)[...])
        }

        /// Linear, except that it backtracks to the last `*`.
        private static func matches(_ pattern: ArraySlice<UInt8>, _ name: ArraySlice<UInt8>) -> Bool
        {
            var (patternIndex, nameIndex) = (pattern.startIndex, name.startIndex)
            var retry: (patternIndex: Int, nameIndex: Int)?
            while nameIndex < name.endIndex {
                if patternIndex < pattern.endIndex, pattern[patternIndex] == UInt8(ascii: "*") {
                    patternIndex += 1
                    retry = (patternIndex, nameIndex)
                } else if patternIndex < pattern.endIndex, pattern[patternIndex] == name[nameIndex]
                {
                    patternIndex += 1
                    nameIndex += 1
                } else if let last = retry {
                    patternIndex = last.patternIndex
                    nameIndex = last.nameIndex + 1
                    retry = (patternIndex, nameIndex)
                } else {
                    return false
                }
            }
            return pattern[patternIndex...].allSatisfy { $0 == UInt8(ascii: "*") }
        }
    }
}
