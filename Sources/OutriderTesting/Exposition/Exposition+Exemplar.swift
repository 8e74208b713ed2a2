// SPDX-License-Identifier: Apache-2.0
// The example that OpenMetrics may attach to a counter or to a bucket.

extension Exposition {
    /// One of the events behind a count, most often with the identity of its trace.
    public struct Exemplar: Sendable {
        /// The labels; there may be none.
        public let labels: [String: String]
        /// The value of the event, such as its duration.
        public let value: Double
        /// When it happened, in seconds since the epoch.
        public let timestamp: Double?
    }
}
