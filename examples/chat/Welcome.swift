// SPDX-License-Identifier: Apache-2.0
// The HTTP part of the example: a page that joins the chat.

import NIOCore
import NIOHTTP1

final class Welcome: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private static let page = """
        <!doctype html><meta charset="utf-8"><title>Chat</title>
        <form><input autofocus></form><pre></pre>
        <script>
        const socket = new WebSocket(`ws://${location.host}/chat`)
        socket.onmessage = event => document.querySelector("pre").prepend(event.data + "\\n")
        document.querySelector("form").onsubmit = event => {
          event.preventDefault()
          socket.send(event.target[0].value)
          event.target.reset()
        }
        </script>
        """

    private var head: HTTPRequestHead?

    /// The template of the route that a request matches.
    static func route(of head: HTTPRequestHead) -> String? {
        ["/", "/chat"].contains(head.uri) ? head.uri : nil
    }

    /// Removes the handler when the connection becomes a WebSocket.
    static func remove(from pipeline: ChannelPipeline.SynchronousOperations) {
        guard let welcome = try? pipeline.handler(type: Welcome.self) else { return }
        pipeline.removeHandler(welcome, promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body: break
        case .end: if let head { answer(head, context) }
        }
    }

    private func answer(_ request: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let (status, text): (HTTPResponseStatus, String) =
            switch request.uri {
            case "/": (.ok, Self.page)
            case "/chat": (.upgradeRequired, "/chat accepts WebSocket upgrades only\n")
            default: (.notFound, "not found\n")
            }
        var headers: HTTPHeaders = ["content-length": "\(text.utf8.count)"]
        headers.add(name: "content-type", value: status == .ok ? "text/html" : "text/plain")
        if status == .upgradeRequired { headers.add(name: "upgrade", value: "websocket") }
        let head = HTTPResponseHead(version: request.version, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}
