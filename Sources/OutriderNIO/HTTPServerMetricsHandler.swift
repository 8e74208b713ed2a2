// SPDX-License-Identifier: Apache-2.0
// Records the requests of a connection, or of an HTTP/2 stream, whose parts are those of
// swift-http-types.

#if HTTPTypes
    public import HTTPTypes
    public import NIOCore
    public import NIOHTTPTypes
    public import OutriderHTTP

    extension HTTPFields {
        private static let traceparentName = HTTPField.Name("traceparent")

        // A linear search: a lookup by name would first build an index of all fields.
        fileprivate var traceparent: String? {
            var found: String?
            for field in self where field.name == Self.traceparentName {
                if found != nil { return nil }
                found = field.value
            }
            return found
        }
    }

    /// Records every request of a connection whose parts are those of `NIOHTTPTypes`.
    ///
    /// Like ``HTTP1ServerMetricsHandler``, for pipelines with a codec that produces these parts
    /// behind the HTTP/1 codec, and for HTTP/2 streams, each of which has its own handler.
    ///
    /// ```swift
    /// try channel.pipeline.syncOperations.configureHTTPServerPipeline()
    /// try channel.pipeline.syncOperations.addHandler(HTTP1ToHTTPServerCodec(secure: false))
    /// try channel.pipeline.syncOperations.addHandler(
    ///     HTTPServerMetricsHandler(recorder) { router.template(for: $0) })
    /// ```
    ///
    /// The scheme is that of the request. Upgrades by a handler before the codec are not seen here:
    /// if connections are upgraded, use ``HTTP1ServerMetricsHandler``.
    public final class HTTPServerMetricsHandler: ChannelDuplexHandler, RemovableChannelHandler {
        /// The parts of requests.
        public typealias InboundIn = HTTPRequestPart
        /// The parts of requests, unchanged.
        public typealias InboundOut = HTTPRequestPart
        /// The parts of responses.
        public typealias OutboundIn = HTTPResponsePart
        /// The parts of responses, unchanged.
        public typealias OutboundOut = HTTPResponsePart

        private(set) var requests: RecordedRequests
        private var hasBegun = false
        private let route: @Sendable (HTTPRequest) -> String?

        /// A handler for one connection or stream.
        ///
        /// - Parameters:
        ///   - recorder: The recorder for the requests.
        ///   - route: The template of the route that a request matches, never its path; nil if none
        ///     matches. Called on the event loop for each head. ``HTTPMatchedRoute`` corrects it
        ///     later.
        public init(
            _ recorder: HTTPRequestRecorder, route: @escaping @Sendable (HTTPRequest) -> String?
        ) {
            requests = RecordedRequests(recorder)
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
                    let status = head.status.code
                    let token = requests.responding
                    let upgraded = requests.willWriteHead(
                        status, upgrade: head.headerFields[.upgrade])
                    if let upgraded {
                        context.channel.closeFuture.whenComplete { _ in upgraded.end() }
                    }
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

        private func recorded(_ head: HTTPRequest) -> RequestHead {
            RequestHead(
                method: head.method.rawValue, scheme: head.scheme == "https" ? .https : .http,
                route: route(head), traceparent: head.headerFields.traceparent)
        }

        /// Whether no earlier handler records the same requests, with either kind of parts; looked
        /// up once for each connection or stream.
        private func isFirst(on context: ChannelHandlerContext) -> Bool {
            if hasBegun { return !requests.isOver }
            hasBegun = true
            let pipeline = context.pipeline.syncOperations
            let same = try? pipeline.handler(type: Self.self)
            let other = try? pipeline.handler(type: HTTP1ServerMetricsHandler.self)
            let recorder = requests.recorder
            let isSame = same.map { $0 !== self && $0.requests.records(in: recorder) } ?? false
            let isOther = other?.requests.records(in: recorder) ?? false
            if isSame || isOther { requests.stopRecording(as: "HTTPServerMetricsHandler") }
            return !requests.isOver
        }
    }

    @available(*, unavailable)
    extension HTTPServerMetricsHandler: Sendable {}
#endif
