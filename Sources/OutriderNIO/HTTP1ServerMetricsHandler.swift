// SPDX-License-Identifier: Apache-2.0
// Records the requests of a connection that uses SwiftNIO's HTTP/1 codec.

#if NIO
    public import NIOCore
    public import NIOHTTP1
    public import OutriderHTTP

    /// Records every request of a connection whose parts are those of `NIOHTTP1`.
    ///
    /// Add it behind the codec and before the handler that responds:
    ///
    /// ```swift
    /// try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
    /// try channel.pipeline.syncOperations.addHandler(
    ///     HTTP1ServerMetricsHandler(recorder) { router.template(for: $0) })
    /// try channel.pipeline.syncOperations.addHandler(Application(router))
    /// ```
    ///
    /// Behind `HTTPServerPipelineHandler`, as above, a pipelined request begins when the previous
    /// one has its response. Before that handler, or without it, the request begins when it is
    /// read, and its time includes the wait. With upgrades, add it `.before` the handler that
    /// upgrades, and not to the handlers that are removed for the upgrade: it then counts the
    /// connection until that closes.
    ///
    /// A request ends when the last part of its response was written. If the connection closes
    /// before, or this handler is removed, the client counts as disconnected. A response that the
    /// pipeline drops, such as one with an invalid header field, counts as a failure of the service
    /// without a status. Bytes that are not HTTP count as protocol errors. Errors, parts and events
    /// are passed on unchanged.
    ///
    /// If a pipeline has two such handlers for one registry, only the first one records.
    ///
    /// Create one for each connection; like every handler it belongs to the event loop. It holds a
    /// token for each request without a response: one behind `HTTPServerPipelineHandler`, else as
    /// many as the pipeline lets through, at most 1,024. Requests beyond that count as protocol
    /// errors with the reason `other`, and are not recorded.
    public final class HTTP1ServerMetricsHandler: ChannelDuplexHandler, RemovableChannelHandler {
        /// The parts of requests.
        public typealias InboundIn = HTTPServerRequestPart
        /// The parts of requests, unchanged.
        public typealias InboundOut = HTTPServerRequestPart
        /// The parts of responses.
        public typealias OutboundIn = HTTPServerResponsePart
        /// The parts of responses, unchanged.
        public typealias OutboundOut = HTTPServerResponsePart

        private(set) var requests: RecordedRequests
        private var hasBegun = false
        private let scheme: URLScheme
        private let route: @Sendable (HTTPRequestHead) -> String?

        /// A handler for one connection.
        ///
        /// - Parameters:
        ///   - recorder: The recorder for the requests.
        ///   - scheme: The client's scheme, which the parts do not contain.
        ///   - route: The template of the route that a request matches, never its path; nil if none
        ///     matches. Called on the event loop for each head. ``HTTPMatchedRoute`` corrects it
        ///     later.
        public init(
            _ recorder: HTTPRequestRecorder, scheme: URLScheme = .http,
            route: @escaping @Sendable (HTTPRequestHead) -> String?
        ) {
            requests = RecordedRequests(recorder)
            self.scheme = scheme
            self.route = route
        }

        /// Records what the client sends.
        public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            if !requests.isOver {
                switch unwrapInboundIn(data) {
                case .head(let head):
                    if isFirst(on: context) { requests.readHead(recorded(head)) }
                case .body(let bytes): requests.readBody(bytes.readableBytes)
                case .end: requests.readEnd()
                }
            }
            context.fireChannelRead(data)
        }

        /// Records what the service sends.
        public func write(
            context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?
        ) {
            var promise = promise
            if requests.awaitsResponse {
                switch unwrapOutboundIn(data) {
                case .head(let head):
                    let status = Int(head.status.code)
                    let token = requests.responding
                    let upgraded = requests.willWriteHead(
                        status, upgrade: head.headers.first(name: "upgrade"))
                    follow(upgraded, on: context)
                    passFields(data, promise, on: context)
                    return requests.didWriteHead(status, to: token)
                case .body(let bytes): requests.willWriteBody(bytes.readableBytes)
                case .end(let trailers):
                    promise = requests.willWriteEnd(
                        promise, hasTrailers: trailers != nil, on: context.eventLoop)
                    if trailers != nil { return passFields(data, promise, on: context) }
                }
            }
            context.write(data, promise: promise)
        }

        /// Passes on a part with header fields; errors during the write belong to that part.
        private func passFields(
            _ data: NIOAny, _ promise: EventLoopPromise<Void>?, on context: ChannelHandlerContext
        ) {
            // A handler that receives such an error may write within this write.
            let wasWriting = requests.isWritingFields
            requests.isWritingFields = true
            context.write(data, promise: promise)
            requests.isWritingFields = wasWriting
        }

        /// Handles ``HTTPMatchedRoute``; passes all other events on.
        public func triggerUserOutboundEvent(
            context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
        ) {
            guard let matched = event as? HTTPMatchedRoute else {
                return context.triggerUserOutboundEvent(event, promise: promise)
            }
            requests.matched(matched.template)
            promise?.succeed()
        }

        /// Records an upgrade that an earlier handler has made; passes it on.
        public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .upgradeComplete(let name, let head) = event as? HTTPServerUpgradeEvents {
                if isFirst(on: context) {
                    follow(requests.wasUpgraded(recorded(head), to: name), on: context)
                }
            }
            context.fireUserInboundEventTriggered(event)
        }

        /// Counts parse errors of the client's bytes; passes every error on.
        public func errorCaught(context: ChannelHandlerContext, error: any Error) {
            if isFirst(on: context) { requests.noteError(error) }
            context.fireErrorCaught(error)
        }

        /// Ends the requests that can no longer get a response.
        public func channelInactive(context: ChannelHandlerContext) {
            requests.abandonAll()
            context.fireChannelInactive()
        }

        /// Ends the requests that are no longer observed.
        public func handlerRemoved(context: ChannelHandlerContext) {
            requests.abandonAll()
        }

        /// Whether no earlier handler records the same requests; looked up once for each
        /// connection.
        private func isFirst(on context: ChannelHandlerContext) -> Bool {
            if hasBegun { return !requests.isOver }
            hasBegun = true
            let first = try? context.pipeline.syncOperations.handler(type: Self.self)
            if let first, first !== self, first.requests.records(in: requests.recorder) {
                requests.stopRecording(as: "HTTP1ServerMetricsHandler")
                return false
            }
            return true
        }

        private func recorded(_ head: HTTPRequestHead) -> RequestHead {
            RequestHead(
                method: head.method.rawValue, scheme: scheme, route: route(head),
                traceparent: head.headers.first(name: "traceparent"))
        }

        /// Counts the upgraded connection until it closes, even without this handler.
        private func follow(_ upgraded: UpgradedConnection?, on context: ChannelHandlerContext) {
            guard let upgraded else { return }
            context.channel.closeFuture.whenComplete { _ in upgraded.end() }
        }
    }

    @available(*, unavailable)
    extension HTTP1ServerMetricsHandler: Sendable {}
#endif
