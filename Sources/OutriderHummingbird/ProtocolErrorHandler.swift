// SPDX-License-Identifier: Apache-2.0
// Counts input that never becomes a request, which Hummingbird's router does not see.

#if Hummingbird
    public import NIOCore
    internal import NIOHTTP1
    public import OutriderHTTP

    /// Counts bytes on a connection that are not HTTP, such as an unknown method.
    ///
    /// Hummingbird responds with 400 and closes the connection, before any middleware runs.
    ///
    /// ```swift
    /// let app = Application(
    ///     router: router,
    ///     server: .http1(
    ///         configuration: .init(additionalChannelHandlers: [ProtocolErrorHandler(recorder)])))
    /// ```
    ///
    /// Create one for each connection, as above: the configuration evaluates the expression each
    /// time. A connection that ends in the middle of a request is not counted: its client
    /// disconnected.
    public final class ProtocolErrorHandler: ChannelInboundHandler, RemovableChannelHandler {
        /// Any type; the data is not inspected.
        public typealias InboundIn = Any

        private let recorder: HTTPRequestRecorder

        /// A handler for one connection.
        public init(_ recorder: HTTPRequestRecorder) { self.recorder = recorder }

        /// Counts parse errors, once each even with two of these handlers; passes every error on.
        public func errorCaught(context: ChannelHandlerContext, error: any Error) {
            if let error = error as? HTTPParserError, error != .invalidEOFState,
                isFirst(on: context)
            {
                recorder.recordProtocolError(error == .headerOverflow ? .headerTooLarge : .parse)
            }
            context.fireErrorCaught(error)
        }
    }

    extension ProtocolErrorHandler {
        /// Whether no earlier handler counts in the same registry.
        private func isFirst(on context: ChannelHandlerContext) -> Bool {
            let first = try? context.pipeline.syncOperations.handler(type: Self.self)
            guard let first, first !== self else { return true }
            return first.recorder.registryIdentity != recorder.registryIdentity
        }
    }

    @available(*, unavailable)
    extension ProtocolErrorHandler: Sendable {}
#endif
