// SPDX-License-Identifier: Apache-2.0
// The exemplar that OpenMetrics may attach to a counter or a bucket.

extension Exposition {
    /// An example of the counted events, usually with its trace ID.
    public struct Exemplar: Sendable {
        /// The labels; there may be none.
        public let labels: [String: String]
        /// The value of the event, such as its duration.
        public let value: Double
        /// When it happened, in seconds since the epoch.
        public let timestamp: Double?
    }
}
