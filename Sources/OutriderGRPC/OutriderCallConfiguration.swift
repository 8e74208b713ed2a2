// SPDX-License-Identifier: Apache-2.0
// Configuration of the server and client interceptors.

#if GRPC
    public import OutriderMetrics

    /// Configuration of an interceptor.
    public struct OutriderCallConfiguration: Sendable {
        /// Upper bounds of the duration buckets, in seconds; see ``Buckets/lowLatency``.
        public var buckets: Buckets = .default
        /// The maximum number of label sets of each family.
        public var limit = SeriesLimit(count: 1_000)
        /// Returns the `traceparent` of the current trace, for exemplars; nil if there is none.
        ///
        /// Called where a call ends, and not within a second of the bucket's last exemplar. The
        /// product `OutriderTracing` provides one for swift-distributed-tracing.
        public var traceparent: (@Sendable () -> String?)?

        /// The defaults.
        public init() {}
    }
#endif
