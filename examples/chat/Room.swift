// SPDX-License-Identifier: Apache-2.0
// A chat room: a message goes once to each event loop, and from there to its subscribers.

import NIOCore
import NIOWebSocket
import OutriderInstruments

/// The subscribers of the chat; thread-safe.
final class Room: Sendable {
    /// The subscribers of one event loop, accessed only on that loop.
    private typealias Corner = NIOLoopBoundBox<[ObjectIdentifier: Subscriber]>

    private let corners: [(loop: any EventLoop, corner: Corner)]
    private let metrics = FanoutMetrics("chat")

    init(_ group: any EventLoopGroup) {
        corners = group.makeIterator().map { loop in
            (loop, Corner.makeBoxSendingValue([:], eventLoop: loop))
        }
    }

    /// Adds a subscriber; called on its event loop.
    func join(_ subscriber: Subscriber, on loop: any EventLoop) -> FanoutMetrics.Subscription {
        corner(of: loop)?.value[ObjectIdentifier(subscriber)] = subscriber
        return metrics.subscribe()
    }

    /// Removes a subscriber; called on its event loop.
    func leave(_ subscriber: Subscriber, on loop: any EventLoop) {
        corner(of: loop)?.value[ObjectIdentifier(subscriber)] = nil
    }

    /// Sends a message to all subscribers.
    func publish(_ message: ByteBuffer) {
        let frame = WebSocketFrame(fin: true, opcode: .text, data: message)
        for (loop, corner) in corners {
            loop.execute { [metrics] in
                var delivered = 0
                var dropped = 0
                for subscriber in corner.value.values {
                    if subscriber.offer(frame) { delivered += 1 } else { dropped += 1 }
                }
                metrics.delivered(delivered)
                metrics.dropped(.slowConsumer, count: dropped)
            }
        }
    }

    /// Disconnects all subscribers.
    func close() async {
        for (loop, corner) in corners {
            try? await loop.submit {
                for subscriber in corner.value.values { subscriber.dismiss() }
            }.get()
        }
    }

    private func corner(of loop: any EventLoop) -> Corner? {
        corners.first { $0.loop === loop }?.corner
    }
}
