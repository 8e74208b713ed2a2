// SPDX-License-Identifier: Apache-2.0
// A sample line of an exposition.

extension Exposition {
    /// A sample of a series.
    public struct Sample: Sendable {
        /// The name, with any suffix that the family's name lacks: `orders_total`.
        public let name: String
        /// The labels of the line, unescaped.
        public let labels: [String: String]
        /// The value.
        public let value: Double
        /// The timestamp, in seconds since the epoch in both formats.
        public let timestamp: Double?
        /// The exemplar; OpenMetrics only.
        public let exemplar: Exemplar?
    }
}

extension Exposition.Sample {
    /// The identity of this sample's series.
    var series: Series { Series(name, labels) }
}
