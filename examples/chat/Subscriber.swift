// SPDX-License-Identifier: Apache-2.0
// One WebSocket connection: it sends messages to the room and receives those of others.

import NIOCore
import NIOWebSocket
import OutriderInstruments

/// A client of the chat; belongs to the event loop of its connection.
final class Subscriber: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    /// The longest message, in bytes.
    static let longestMessage = 4_096

    private let room: Room
    private var context: ChannelHandlerContext?
    private var subscription: FanoutMetrics.Subscription?

    init(in room: Room) { self.room = room }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        subscription = room.join(self, on: context.eventLoop)
    }

    func channelInactive(context: ChannelHandlerContext) {
        leave(.closed)
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        // Clients mask their frames (RFC 6455 §5.1).
        guard frame.maskKey != nil else { return refuse(context) }
        switch frame.opcode {
        case .text, .binary:
            room.publish(frame.unmaskedData)
        case .ping:
            send(WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData), context)
        case .connectionClose:
            leave(.closed)
            close(.normalClosure, "", context)
        case .pong: break
        // The aggregator before this handler joins fragments; all other opcodes are reserved
        // (§5.2).
        default: refuse(context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { refuse(context) }

    /// Closes a connection whose input is not valid WebSocket.
    private func refuse(_ context: ChannelHandlerContext) {
        leave(.other("protocol_error"))
        close(.protocolError, "", context)
    }

    /// Sends a message; if the subscriber reads too slowly, drops both and returns false.
    func offer(_ frame: WebSocketFrame) -> Bool {
        guard let context, subscription != nil else { return false }
        if context.channel.isWritable {
            send(frame, context)
            return true
        }
        leave(.slowConsumer)
        close(.policyViolation, "too slow", context)
        return false
    }

    /// Disconnects the subscriber, because the room closes.
    func dismiss() {
        guard let context, subscription != nil else { return }
        leave(.other("shutdown"))
        close(.goingAway, "", context)
    }

    private func leave(_ reason: FanoutMetrics.Drop) {
        guard let subscription, let context else { return }
        subscription.end(reason)
        self.subscription = nil
        room.leave(self, on: context.eventLoop)
    }

    /// Sends the reason and closes: at once if the client reads it, else after a second.
    private func close(
        _ code: WebSocketErrorCode, _ reason: String, _ context: ChannelHandlerContext
    ) {
        var data = context.channel.allocator.buffer(capacity: 2 + reason.utf8.count)
        data.write(webSocketErrorCode: code)
        data.writeString(reason)
        let channel = context.channel
        let frame = WebSocketFrame(fin: true, opcode: .connectionClose, data: data)
        context.writeAndFlush(wrapOutboundOut(frame)).assumeIsolated().whenComplete { _ in
            channel.close(promise: nil)
        }
        context.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
    }

    private func send(_ frame: WebSocketFrame, _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    }
}
