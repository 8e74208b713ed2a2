// SPDX-License-Identifier: Apache-2.0
// One WebSocket: it says something to the room, and hears what others say.

import NIOCore
import NIOWebSocket
import OutriderInstruments

/// Belongs to the event loop of its connection.
final class Subscriber: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    /// Bytes of the longest message.
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
        // Clients mask what they send (RFC 6455 §5.1).
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
        // The aggregator before this handler puts fragments together; all other codes are nobody's (§5.2).
        default: refuse(context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { refuse(context) }

    /// What came is no WebSocket.
    private func refuse(_ context: ChannelHandlerContext) {
        leave(.other("protocol_error"))
        close(.protocolError, "", context)
    }

    /// Sends a message, or drops it, and the subscriber with it, if it reads too slowly to take one more.
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

    /// The room closes.
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

    /// Says why, and closes: at once if the other side reads it, else a second later.
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
