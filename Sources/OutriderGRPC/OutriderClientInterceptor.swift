// SPDX-License-Identifier: Apache-2.0
// An interceptor for the calls of a gRPC Swift 2 client.

#if GRPC
    public import GRPCCore
    internal import OutriderHTTP
    public import OutriderMetrics

    /// Records every call of a gRPC client, by method, status and server.
    ///
    /// ```swift
    /// let calls = OutriderClientInterceptor("stock.internal", port: 50051)
    /// let client = GRPCClient(transport: calls.recording(transport), interceptors: [calls])
    /// ```
    ///
    /// A call lasts until its response was read to its end; each attempt of a retried call counts.
    /// gRPC calls interceptors once a call has a connection, so only ``recording(_:)`` sees calls
    /// that never get one.
    ///
    /// Records `rpc_client_call_duration_seconds` and `rpc_client_active_calls`; `error_type` is
    /// any status other than `OK`. A call whose task was cancelled ends with `CANCELLED`.
    /// Thread-safe.
    public struct OutriderClientInterceptor: ClientInterceptor {
        let calls: CallRecorder

        /// An interceptor that registers its metrics in `registry`.
        ///
        /// - Parameters:
        ///   - address: The name of the server, or server group, that the client calls; a label. An
        ///     IPv6 address may have brackets, which the label omits.
        ///   - port: Its port, if it has one.
        ///   - registry: The registry for the metrics.
        ///   - configuration: Buckets and limits.
        public init(
            _ address: String, port: Int? = nil, registry: Registry = .shared,
            configuration: OutriderCallConfiguration = OutriderCallConfiguration()
        ) {
            calls = CallRecorder(
                .client(
                    address: HostAddress.label(address), port: port.map(String.init) ?? ""),
                registry: registry,
                configuration: configuration)
        }

        /// Records one call; called by the client.
        public func intercept<Input: Sendable, Output: Sendable>(
            request: StreamingClientRequest<Input>,
            context: ClientContext,
            next: (
                _ request: StreamingClientRequest<Input>, _ context: ClientContext
            ) async throws -> StreamingClientResponse<Output>
        ) async throws -> StreamingClientResponse<Output> {
            let call =
                RecordedCall.current(in: calls, context.descriptor)
                ?? calls.begin(context.descriptor, timeout: request.metadata.callTimeout)
            guard call.intercept() else {
                calls.warnAboutDuplicate("OutriderClientInterceptor")
                return try await next(request, context)
            }
            var response = try await RecordedCall.$current.withValue(call) {
                try await call.endedByErrors { try await next(request, context) }
            }
            switch response.accepted {
            case .failure(let error):
                call.finish(throwing: error)
            case .success(var contents):
                contents.bodyParts = RPCAsyncSequence(
                    wrapping: RecordedParts(parts: contents.bodyParts, call: call))
                response.accepted = .success(contents)
            }
            return response
        }
    }

    /// The parts of a response; their end is the end of the call.
    private struct RecordedParts<Element: Sendable>: AsyncSequence, Sendable {
        let parts: RPCAsyncSequence<Element, any Error>
        let call: RecordedCall

        func makeAsyncIterator() -> Iterator {
            Iterator(parts: parts.makeAsyncIterator(), call: call)
        }

        struct Iterator: AsyncIteratorProtocol {
            var parts: RPCAsyncSequence<Element, any Error>.AsyncIterator
            let call: RecordedCall

            mutating func next() async throws -> Element? {
                try await next(isolation: nil)
            }

            mutating func next(isolation actor: isolated (any Actor)?) async throws(any Error)
                -> Element?
            {
                do {
                    let part = try await parts.next(isolation: actor)
                    if part == nil { call.finish(.ok) }
                    return part
                } catch {
                    call.finish(throwing: error)
                    throw error
                }
            }
        }
    }
#endif
