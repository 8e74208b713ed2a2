// SPDX-License-Identifier: Apache-2.0
// What the interceptors of servers and clients can be told.

#if GRPC
    public import OutriderMetrics

    /// What an interceptor records.
    public struct OutriderCallConfiguration: Sendable {
        /// Upper bounds of the buckets of durations, in seconds; see ``Buckets/lowLatency``.
        public var buckets: Buckets = .default
        /// How many label sets each family may have.
        public var limit = SeriesLimit(count: 1_000)
        /// The `traceparent` of the trace that runs now, for exemplars; nil if there is none.
        ///
        /// Asked where a call ends, and not within a second of the bucket's last exemplar. The product
        /// `OutriderTracing` has one for swift-distributed-tracing.
        public var traceparent: (@Sendable () -> String?)?

        /// The defaults.
        public init() {}
    }
#endif
