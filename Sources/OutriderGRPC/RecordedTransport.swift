// SPDX-License-Identifier: Apache-2.0
// A transport that records calls that end before they have a connection.

#if GRPC
    public import GRPCCore

    extension OutriderClientInterceptor {
        /// Wraps a transport to also record calls that interceptors do not see: those that got no
        /// connection, or whose deadline passed while they waited for one.
        ///
        /// Pass it to the client together with this interceptor. Each attempt is recorded once, and
        /// its time then includes the wait for a connection.
        public func recording<Transport: ClientTransport>(_ transport: Transport)
            -> RecordedTransport<Transport>
        {
            RecordedTransport(transport: transport, calls: calls)
        }
    }

    /// A client transport that records the calls that get no connection.
    public struct RecordedTransport<Transport: ClientTransport>: ClientTransport {
        /// The transport's type of message bytes.
        public typealias Bytes = Transport.Bytes

        let transport: Transport
        let calls: CallRecorder

        /// The transport's retry throttle.
        public var retryThrottle: RetryThrottle? { transport.retryThrottle }

        /// Connects the transport; called by the client.
        public func connect() async throws { try await transport.connect() }

        /// Forwards to the transport.
        public func beginGracefulShutdown() { transport.beginGracefulShutdown() }

        /// The transport's configuration of a method.
        public func config(forMethod descriptor: MethodDescriptor) -> MethodConfig? {
            transport.config(forMethod: descriptor)
        }

        /// Opens a stream; a call that gets none ends here, any other in the interceptor.
        public func withStream<Result: Sendable>(
            descriptor: MethodDescriptor, options: CallOptions,
            _ closure: (_ stream: RPCStream<Inbound, Outbound>, _ context: ClientContext)
                async throws
                -> Result
        ) async throws -> Result {
            let call = calls.begin(descriptor, timeout: options.timeout)
            do {
                return try await transport.withStream(descriptor: descriptor, options: options) {
                    stream, context in
                    try await RecordedCall.$current.withValue(call) {
                        try await closure(stream, context)
                    }
                }
            } catch {
                call.finish(throwing: error)
                throw error
            }
        }
    }
#endif
