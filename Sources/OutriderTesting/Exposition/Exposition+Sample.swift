// SPDX-License-Identifier: Apache-2.0
// One line of an exposition that is not a comment.

extension Exposition {
    /// A value, and what it is the value of.
    public struct Sample: Sendable {
        /// The name, with the suffix that the family's name may lack: `orders_total`.
        public let name: String
        /// The labels as they are exposed, without escapes.
        public let labels: [String: String]
        /// The value.
        public let value: Double
        /// When the value was taken, in seconds since the epoch, in either format.
        public let timestamp: Double?
        /// An example of what was counted; OpenMetrics only.
        public let exemplar: Exemplar?
    }
}

extension Exposition.Sample {
    /// What names the series of this sample.
    var series: Series { Series(name, labels) }
}
