// SPDX-License-Identifier: Apache-2.0
// The error of a rejected metric definition, with advice.

/// A definition that a ``Registry`` refuses.
///
/// Thrown by the `register(…)` methods. The methods that never fail log its description once
/// and count it in `outrider_registrations_refused_total{reason}`.
public struct RegistrationError: Error, Hashable, Sendable {
    /// The kind of mistake in the definition.
    public let code: Code
    /// The name of the metric, as it was given.
    public let metric: String
    /// The error and its remedy, in a sentence.
    public let advice: String

    /// The kind of mistake; more kinds may be added.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        let index: Int
        let label: String

        /// The name does not match `[a-zA-Z_:][a-zA-Z0-9_:]*`.
        public static let invalidMetricName = Code(index: 0, label: "invalid_metric_name")
        /// A label name does not match `[a-zA-Z_][a-zA-Z0-9_]*`, or is a duplicate.
        public static let invalidLabelName = Code(index: 1, label: "invalid_label_name")
        /// A label name is reserved by Prometheus: `__…`, `le`, `quantile`.
        public static let reservedLabelName = Code(index: 2, label: "reserved_label_name")
        /// The name is already registered with another type.
        public static let differentType = Code(index: 3, label: "different_type")
        /// The name is already registered with another help text.
        public static let differentHelp = Code(index: 4, label: "different_help")
        /// The name is already registered with other labels.
        public static let differentLabels = Code(index: 5, label: "different_labels")
        /// The name is already registered with other buckets.
        public static let differentBuckets = Code(index: 6, label: "different_buckets")
        /// The buckets are not finite or not ascending, or there are too few or too many.
        public static let invalidBuckets = Code(index: 7, label: "invalid_buckets")
        /// Another family already exposes a sample with this name, or a callback already uses it.
        public static let nameTaken = Code(index: 8, label: "name_taken")
        /// swift-metrics requested more names than a registry accepts from it.
        public static let tooManyNames = Code(index: 9, label: "too_many_names")

        /// Servers store their own data about scrapes under this name: `up`,
        /// `scrape_duration_seconds`.
        public static let reservedMetricName = Code(index: 10, label: "reserved_metric_name")

        static let all: [Code] = [
            .invalidMetricName, .invalidLabelName, .reservedLabelName, .differentType,
            .differentHelp, .differentLabels, .differentBuckets, .invalidBuckets, .nameTaken,
            .tooManyNames, .reservedMetricName,
        ]

        /// The code as a value of the label `reason`.
        public var description: String { label }
    }
}

extension RegistrationError: CustomStringConvertible {
    /// The error and its remedy, in a sentence.
    public var description: String { "metric \"\(metric)\": \(advice)" }
}
