// SPDX-License-Identifier: Apache-2.0
// One connection to Redis.

import NIOCore
import NIOPosix

/// The address of a Redis server.
struct RedisAddress: Equatable, Sendable {
    let host: String
    let port: Int

    /// Parses `redis://host:port`; the default port is 6379.
    init?(_ url: String) {
        guard url.hasPrefix("redis://") else { return nil }
        let authority = url.dropFirst("redis://".count).prefix { $0 != "/" }
        let parts = authority.split(separator: ":", maxSplits: 1)
        guard let host = parts.first else { return nil }
        self.host = String(host)
        if parts.count == 1 {
            port = 6_379
        } else {
            guard let number = Int(parts[1]), (1...65_535).contains(number) else { return nil }
            port = number
        }
    }
}

/// Why a command has no usable reply.
enum RedisError: Error {
    /// The connection is closed.
    case closed
    /// No reply in time; the connection is closed, because the reply may still arrive.
    case late
    /// Redis returned an error.
    case refused(String)
    /// The reply does not fit the command.
    case unexpected
}

/// A connection to Redis; thread-safe, with replies in the order of the commands.
final class RedisConnection: Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<RedisHandler>
    /// Messages that Redis pushes to a subscriber.
    let messages: AsyncStream<[RedisValue]>

    static func connect(to address: RedisAddress, within limit: TimeAmount) async throws
        -> RedisConnection
    {
        let (messages, publish) = AsyncStream.makeStream(of: [RedisValue].self)
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(limit)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(ByteToMessageHandler(RedisDecoder()))
                    try pipeline.addHandler(RedisHandler(publish))
                }
            }
            .connect(host: address.host, port: address.port).get()
        return try await channel.eventLoop.submit {
            let handler = try channel.pipeline.syncOperations.handler(type: RedisHandler.self)
            return RedisConnection(
                channel, NIOLoopBound(handler, eventLoop: channel.eventLoop), messages)
        }.get()
    }

    private init(
        _ channel: any Channel, _ handler: NIOLoopBound<RedisHandler>,
        _ messages: AsyncStream<[RedisValue]>
    ) {
        self.channel = channel
        self.handler = handler
        self.messages = messages
    }

    var isOpen: Bool { channel.isActive }

    /// Sends a command and waits for its reply.
    func call(_ words: [String], within limit: TimeAmount) async throws -> RedisValue {
        let command = RedisCommand(words)
        let answer = try await channel.eventLoop.flatSubmit { [channel, handler] in
            handler.value.send(command, on: channel, within: limit)
        }.get()
        if case .error(let text) = answer { throw RedisError.refused(text) }
        return answer
    }

    func close() async throws { try await channel.close() }
}

/// Matches replies to commands; belongs to the event loop.
final class RedisHandler: ChannelInboundHandler {
    typealias InboundIn = RedisValue

    private var awaited = CircularBuffer<EventLoopPromise<RedisValue>>()
    private let publish: AsyncStream<[RedisValue]>.Continuation

    init(_ publish: AsyncStream<[RedisValue]>.Continuation) { self.publish = publish }

    func send(
        _ command: RedisCommand, on channel: any Channel, within limit: TimeAmount
    ) -> EventLoopFuture<RedisValue> {
        let promise = channel.eventLoop.makePromise(of: RedisValue.self)
        guard channel.isActive else {
            promise.fail(RedisError.closed)
            return promise.futureResult
        }
        awaited.append(promise)
        let timer = channel.eventLoop.scheduleTask(in: limit) {
            promise.fail(RedisError.late)
            channel.close(promise: nil)
        }
        promise.futureResult.whenComplete { _ in timer.cancel() }
        channel.writeAndFlush(command.bytes, promise: nil)
        return promise.futureResult
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let value = unwrapInboundIn(data)
        if case .array(let parts) = value, parts.first?.string == "message" {
            publish.yield(parts)
        } else if let promise = awaited.popFirst() {
            promise.succeed(value)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        publish.finish()
        while let promise = awaited.popFirst() { promise.fail(RedisError.closed) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
