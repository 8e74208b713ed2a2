// SPDX-License-Identifier: Apache-2.0
// Calls that end before they have a connection.

#if GRPC
    public import GRPCCore

    extension OutriderClientInterceptor {
        /// The same transport, which also records what interceptors do not see: calls that found no
        /// connection, or whose deadline came while they waited for one.
        ///
        /// Give it to the client together with this interceptor. Each attempt is recorded once, and its time
        /// then has in it what it waited for a connection.
        public func recording<Transport: ClientTransport>(_ transport: Transport)
            -> RecordedTransport<Transport>
        {
            RecordedTransport(transport: transport, calls: calls)
        }
    }

    /// A transport of a client, which records the calls that find no connection.
    public struct RecordedTransport<Transport: ClientTransport>: ClientTransport {
        /// What the transport makes of messages.
        public typealias Bytes = Transport.Bytes

        let transport: Transport
        let calls: CallRecorder

        /// The transport's own.
        public var retryThrottle: RetryThrottle? { transport.retryThrottle }

        /// Connects the transport, as the client asks it to.
        public func connect() async throws { try await transport.connect() }

        /// Passed on to the transport.
        public func beginGracefulShutdown() { transport.beginGracefulShutdown() }

        /// What the transport has been told of a method.
        public func config(forMethod descriptor: MethodDescriptor) -> MethodConfig? {
            transport.config(forMethod: descriptor)
        }

        /// Opens a stream; a call that gets none ends here, any other with the interceptor.
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
