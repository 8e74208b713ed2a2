// SPDX-License-Identifier: Apache-2.0
// Records the requests of a connection that SwiftNIO's HTTP/1 codec reads.

#if NIO
    public import NIOCore
    public import NIOHTTP1
    public import OutriderHTTP

    /// Records every request of a connection whose parts are those of `NIOHTTP1`.
    ///
    /// It belongs behind the codec, and before the handler that answers:
    ///
    /// ```swift
    /// try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
    /// try channel.pipeline.syncOperations.addHandler(
    ///     HTTP1ServerMetricsHandler(recorder) { router.template(for: $0) })
    /// try channel.pipeline.syncOperations.addHandler(Application(router))
    /// ```
    ///
    /// Behind `HTTPServerPipelineHandler`, as above, a pipelined request begins when the one before
    /// has its answer. Before it, or without it, the request begins when it was read, and its time
    /// has the wait in it. With upgrades, add it `.before` the handler that upgrades, and not to the
    /// handlers that are removed for it: it then counts the connection until that closes.
    ///
    /// A request lasts until the last part of its answer was written. If the connection closes
    /// before, or this handler is removed, its client has disconnected. Bytes that are no HTTP count
    /// as protocol errors; errors, parts and events go on unchanged.
    ///
    /// Make one for each connection; like every handler it belongs to the event loop. It holds a
    /// token for each request without an answer: one behind `HTTPServerPipelineHandler`, else as
    /// many as the pipeline lets through, at most 1,024. Those on top are counted as protocol
    /// errors, with the reason `other`, and not followed.
    public final class HTTP1ServerMetricsHandler: ChannelDuplexHandler, RemovableChannelHandler {
        /// The parts of requests.
        public typealias InboundIn = HTTPServerRequestPart
        /// The parts of requests, unchanged.
        public typealias InboundOut = HTTPServerRequestPart
        /// The parts of answers.
        public typealias OutboundIn = HTTPServerResponsePart
        /// The parts of answers, unchanged.
        public typealias OutboundOut = HTTPServerResponsePart

        private var requests: RecordedRequests
        private let scheme: URLScheme
        private let route: @Sendable (HTTPRequestHead) -> String?

        /// A handler for one connection.
        ///
        /// - Parameters:
        ///   - recorder: What records.
        ///   - scheme: What the client speaks, which no part tells.
        ///   - route: The template of the route that a request matches, never its path; nil if none
        ///     does. Called on the event loop for each head. ``HTTPMatchedRoute`` corrects it later.
        public init(
            _ recorder: HTTPRequestRecorder, scheme: URLScheme = .http,
            route: @escaping @Sendable (HTTPRequestHead) -> String?
        ) {
            requests = RecordedRequests(recorder)
            self.scheme = scheme
            self.route = route
        }

        /// Follows what the client sends.
        public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            if !requests.isOver {
                switch unwrapInboundIn(data) {
                case .head(let head): requests.began(recorded(head))
                case .body(let bytes): requests.received(bytes.readableBytes)
                case .end: requests.wasRead()
                }
            }
            context.fireChannelRead(data)
        }

        /// Follows what the service answers.
        public func write(
            context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?
        ) {
            var promise = promise
            if requests.awaitsAnswer {
                switch unwrapOutboundIn(data) {
                case .head(let head):
                    let upgraded = requests.answers(
                        Int(head.status.code), upgrade: head.headers.first(name: "upgrade"))
                    follow(upgraded, on: context)
                case .body(let bytes): requests.sends(bytes.readableBytes)
                case .end: promise = requests.answered(promise, on: context.eventLoop)
                }
            }
            context.write(data, promise: promise)
        }

        /// Takes ``HTTPMatchedRoute``; passes everything else on.
        public func triggerUserOutboundEvent(
            context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
        ) {
            guard let matched = event as? HTTPMatchedRoute else {
                return context.triggerUserOutboundEvent(event, promise: promise)
            }
            requests.matched(matched.template)
            promise?.succeed()
        }

        /// Takes note of an upgrade that a handler before this one has made; passes it on.
        public func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .upgradeComplete(let name, let head) = event as? HTTPServerUpgradeEvents {
                follow(requests.wasUpgraded(recorded(head), to: name), on: context)
            }
            context.fireUserInboundEventTriggered(event)
        }

        /// Counts parse errors; passes every error on.
        public func errorCaught(context: ChannelHandlerContext, error: any Error) {
            requests.failed(error)
            context.fireErrorCaught(error)
        }

        /// Ends the requests that will get no answer any more.
        public func channelInactive(context: ChannelHandlerContext) {
            requests.abandonAll()
            context.fireChannelInactive()
        }

        /// Ends the requests that are not followed any more.
        public func handlerRemoved(context: ChannelHandlerContext) {
            requests.abandonAll()
        }

        private func recorded(_ head: HTTPRequestHead) -> RequestHead {
            RequestHead(
                method: head.method.rawValue, scheme: scheme, route: route(head),
                traceparent: head.headers.first(name: "traceparent"))
        }

        /// Counts what the connection became until it closes, even without this handler.
        private func follow(_ upgraded: UpgradedConnection?, on context: ChannelHandlerContext) {
            guard let upgraded else { return }
            context.channel.closeFuture.whenComplete { _ in upgraded.end() }
        }
    }

    @available(*, unavailable)
    extension HTTP1ServerMetricsHandler: Sendable {}
#endif
