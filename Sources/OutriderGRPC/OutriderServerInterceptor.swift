// SPDX-License-Identifier: Apache-2.0
// Calls that a server of gRPC Swift 2 answers.

#if GRPC
    public import GRPCCore
    public import OutriderMetrics

    /// Records every call of a gRPC server, by method and status.
    ///
    /// ```swift
    /// let server = GRPCServer(
    ///     transport: transport, services: [orders], interceptors: [OutriderServerInterceptor()])
    /// ```
    ///
    /// Stand first, so that what other interceptors refuse is recorded too. A call lasts from its headers
    /// until the last message of its answer was handed on; of one that streams, that is as long as the
    /// stream. Calls of methods that no service has end before any interceptor, and are not seen.
    ///
    /// `rpc_server_call_duration_seconds` and `rpc_server_active_calls`; `error_type` is the status where
    /// that is the server's fault, by OpenTelemetry's conventions. A call that was cancelled in the last
    /// tenth of the time that its client gave it counts as `DEADLINE_EXCEEDED`. A call whose client has left,
    /// by whichever end of its connection, is `CANCELLED`, unless its handler throws a status such as
    /// `NOT_FOUND`. Thread-safe.
    public struct OutriderServerInterceptor: ServerInterceptor {
        private let calls: CallRecorder

        /// An interceptor that registers its metrics in `registry`.
        public init(
            registry: Registry = .shared,
            configuration: OutriderCallConfiguration = OutriderCallConfiguration()
        ) {
            calls = CallRecorder(.server, registry: registry, configuration: configuration)
        }

        /// Records one call; the server calls this.
        public func intercept<Input: Sendable, Output: Sendable>(
            request: StreamingServerRequest<Input>,
            context: ServerContext,
            next:
                @Sendable (
                    _ request: StreamingServerRequest<Input>, _ context: ServerContext
                ) async throws -> StreamingServerResponse<Output>
        ) async throws -> StreamingServerResponse<Output> {
            guard RecordedCall.current(in: calls, context.descriptor) == nil else {
                calls.warnOfSecond("OutriderServerInterceptor")
                return try await next(request, context)
            }
            let call = calls.begin(context.descriptor, timeout: request.metadata.callTimeout)
            let cancellation = context.cancellation
            var response = try await RecordedCall.$current.withValue(call) {
                try await call.endedByErrors(cancellation) { try await next(request, context) }
            }
            switch response.accepted {
            case .failure(let error):
                call.finish(throwing: error, cancellation)
            case .success(var contents):
                contents.producer = { [produce = contents.producer] writer in
                    let trailingMetadata = try await call.endedByErrors(cancellation) {
                        try await produce(writer)
                    }
                    call.finish(.ok)
                    return trailingMetadata
                }
                response.accepted = .success(contents)
            }
            return response
        }
    }
#endif
