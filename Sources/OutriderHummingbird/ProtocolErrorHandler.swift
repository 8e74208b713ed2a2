// SPDX-License-Identifier: Apache-2.0
// Counts what never becomes a request: Hummingbird's router does not see it.

#if Hummingbird
    public import NIOCore
    internal import NIOHTTP1
    public import OutriderHTTP

    /// Counts bytes on a connection that are no HTTP, such as an unknown method.
    ///
    /// Hummingbird answers them with 400 and closes the connection, before any middleware.
    ///
    /// ```swift
    /// let app = Application(
    ///     router: router,
    ///     server: .http1(
    ///         configuration: .init(additionalChannelHandlers: [ProtocolErrorHandler(recorder)])))
    /// ```
    ///
    /// One for each connection, as above: the configuration makes them anew. A connection that ends
    /// in the middle of a request is not counted: its client hung up.
    public final class ProtocolErrorHandler: ChannelInboundHandler, RemovableChannelHandler {
        /// Whatever the pipeline carries; none of it is looked at.
        public typealias InboundIn = Any

        private let recorder: HTTPRequestRecorder

        /// A handler for one connection.
        public init(_ recorder: HTTPRequestRecorder) { self.recorder = recorder }

        /// Counts parse errors; passes every error on.
        public func errorCaught(context: ChannelHandlerContext, error: any Error) {
            if let error = error as? HTTPParserError, error != .invalidEOFState {
                recorder.noteProtocolError(error == .headerOverflow ? .headerTooLarge : .parse)
            }
            context.fireErrorCaught(error)
        }
    }

    @available(*, unavailable)
    extension ProtocolErrorHandler: Sendable {}
#endif
