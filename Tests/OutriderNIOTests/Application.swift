// SPDX-License-Identifier: Apache-2.0
// The application handler in these tests' pipelines, whose response depends on the path.

#if NIO
    import NIOCore
    import NIOHTTP1
    import OutriderNIO

    /// Responds to requests in order.
    ///
    /// | path | response |
    /// |---|---|
    /// | `/stream` | head and `first`, then waits for the release and sends `second` and the end |
    /// | `/held` | waits for the release first |
    /// | `/close`, `/half` | closes without a response, or after its head |
    /// | `/bad-head`, `/bad-head-close` | an invalid header field; continues, or closes |
    /// | `/bad-trailer` | a trailer that cannot be sent |
    /// | `/matched` | sets the route late |
    /// | `/continue` | two informational heads first |
    /// | `/500`, `/404` | that status |
    /// | other | 200 and the size of the request's body |
    final class Application: ChannelInboundHandler, RemovableChannelHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let release: EventLoopFuture<Void>
        private var head: HTTPRequestHead?
        private var size = 0
        private var waiting: [(HTTPRequestHead, Int)] = []
        private var isHeld = false

        init(release: EventLoopFuture<Void>) { self.release = release }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): (self.head, size) = (head, 0)
            case .body(let bytes): size += bytes.readableBytes
            case .end:
                if let head { waiting.append((head, size)) }
                answerAll(context)
            }
        }

        private func answerAll(_ context: ChannelHandlerContext) {
            while !isHeld, !waiting.isEmpty {
                let (head, size) = waiting.removeFirst()
                answer(head, size, context)
            }
        }

        private func answer(_ head: HTTPRequestHead, _ size: Int, _ context: ChannelHandlerContext)
        {
            switch head.uri {
            case "/held": hold(context) { $0.send(200, "\(size)", context) }
            case "/stream":
                sendHead(200, [("Transfer-Encoding", "chunked")], context)
                sendBody("first", context)
                hold(context) {
                    $0.sendBody("second", context)
                    $0.sendEnd(context)
                }
            case "/close":
                isHeld = true
                context.close(promise: nil)
            case "/half":
                isHeld = true
                sendHead(200, [("Content-Length", "9")], context)
                context.close(promise: nil)
            case "/bad-head":
                sendHead(200, [("Content-Length", "2"), ("X-Bad", "a\0b")], context)
                sendBody("no", context)
                sendEnd(context)
            case "/bad-head-close":
                isHeld = true
                sendHead(200, [("Content-Length", "2"), ("X-Bad", "a\r\nb: c")], context)
                context.close(promise: nil)
            case "/bad-trailer":
                sendHead(200, [("Transfer-Encoding", "chunked")], context)
                sendBody("yes", context)
                let trailers = HTTPHeaders([("X-Bad", "a\0b")])
                context.writeAndFlush(wrapOutboundOut(.end(trailers)), promise: nil)
            case "/matched":
                context.triggerUserOutboundEvent(HTTPMatchedRoute("/late/{id}"), promise: nil)
                send(200, "\(size)", context)
            case "/continue":
                sendHead(100, [], context)
                sendHead(103, [("Link", "</style.css>")], context)
                send(200, "\(size)", context)
            case "/404": send(404, "no", context)
            case "/500": send(500, "no", context)
            default: send(200, head.method == .HEAD ? "" : "\(size)", context)
            }
        }

        private func hold(
            _ context: ChannelHandlerContext, _ then: @escaping (Application) -> Void
        ) {
            isHeld = true
            release.hop(to: context.eventLoop).assumeIsolated().whenComplete { _ in
                then(self)
                self.isHeld = false
                self.answerAll(context)
            }
        }

        private func send(_ status: Int, _ body: String, _ context: ChannelHandlerContext) {
            sendHead(status, [("Content-Length", "\(body.utf8.count)")], context)
            if !body.isEmpty { sendBody(body, context) }
            sendEnd(context)
        }

        private func sendHead(
            _ status: Int, _ fields: [(String, String)], _ context: ChannelHandlerContext
        ) {
            let head = HTTPResponseHead(
                version: .http1_1, status: HTTPResponseStatus(statusCode: status),
                headers: HTTPHeaders(fields))
            context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
        }

        private func sendBody(_ body: String, _ context: ChannelHandlerContext) {
            let bytes = context.channel.allocator.buffer(string: body)
            context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(bytes))), promise: nil)
        }

        private func sendEnd(_ context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
#endif
