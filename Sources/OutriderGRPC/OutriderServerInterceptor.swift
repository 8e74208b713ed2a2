// SPDX-License-Identifier: Apache-2.0
// An interceptor for the calls of a gRPC Swift 2 server.

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
    /// Install it first, so that calls that other interceptors reject are recorded too. A call
    /// lasts from its headers until the last message of its response was passed on; a streaming
    /// call, as long as its stream. Calls of unimplemented methods end before any interceptor, and
    /// are not seen.
    ///
    /// Records `rpc_server_call_duration_seconds` and `rpc_server_active_calls`; `error_type` is
    /// the status if the server is at fault by OpenTelemetry's conventions. A call that was
    /// cancelled in the last tenth of its client's timeout counts as `DEADLINE_EXCEEDED`. A call
    /// whose client has left, by closing or losing its connection, is `CANCELLED`, unless its
    /// handler throws a status such as `NOT_FOUND`. Thread-safe.
    public struct OutriderServerInterceptor: ServerInterceptor {
        private let calls: CallRecorder

        /// An interceptor that registers its metrics in `registry`.
        public init(
            registry: Registry = .shared,
            configuration: OutriderCallConfiguration = OutriderCallConfiguration()
        ) {
            calls = CallRecorder(.server, registry: registry, configuration: configuration)
        }

        /// Records one call; called by the server.
        public func intercept<Input: Sendable, Output: Sendable>(
            request: StreamingServerRequest<Input>,
            context: ServerContext,
            next:
                @Sendable (
                    _ request: StreamingServerRequest<Input>, _ context: ServerContext
                ) async throws -> StreamingServerResponse<Output>
        ) async throws -> StreamingServerResponse<Output> {
            guard RecordedCall.current(in: calls, context.descriptor) == nil else {
                calls.warnAboutDuplicate("OutriderServerInterceptor")
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
