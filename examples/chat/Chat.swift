// SPDX-License-Identifier: Apache-2.0
// A chat over WebSocket: each message goes to all clients. A client that reads too slowly is
// disconnected, so that it does not delay others.
//
// CHAT_PORT sets the port (0: any), SECONDS_TO_RUN the time after which it exits.

import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket
import Outrider
import OutriderNIO
import UnixSignals

@main
struct Chat {
    static func main() async throws {
        let variables = ProcessInfo.processInfo.environment
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        var configuration = Agent.Configuration()
        // Settings in code override the environment.
        if ProcessInfo.processInfo.environment["OTEL_SERVICE_NAME"] == nil {
            configuration.serviceName = "chat"
        }
        let agent = Agent.start(configuration)
        let loops = EventLoopMetrics(registry: agent.registry)
        let group = MultiThreadedEventLoopGroup(
            numberOfThreads: System.coreCount, metricsDelegate: loops)
        agent.runtime.watch(group)

        let room = Room(group)
        let port = variables["CHAT_PORT"].flatMap(Int.init) ?? 8_080
        let server = try await listen(on: group, port: port, room: room, recorder: agent.http)
        say("service   http://127.0.0.1:\(server.localAddress?.port ?? 0)")
        say("agent     \(agent.address?.url ?? "not listening yet; retrying")")
        if let debug = agent.debugAddress?.url { say("debug     \(debug)/debug") }
        say("Ctrl-C stops it.")
        await wait(for: signals, atMost: variables["SECONDS_TO_RUN"].flatMap(Double.init))

        agent.markDraining()
        try await server.close()
        await room.close()
        try await group.shutdownGracefully()
        agent.stop()
        say("stopped")
    }

    private static func listen(
        on group: any EventLoopGroup, port: Int, room: Room, recorder: HTTPRequestRecorder
    ) async throws -> any Channel {
        try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            // Limits the output that waits for one client, in the kernel and here: the cost of a
            // slow client.
            .childChannelOption(.socketOption(.so_sndbuf), value: 65_536)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 16_384, high: 65_536))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let upgrader = NIOWebSocketServerUpgrader(
                        maxFrameSize: Subscriber.longestMessage,
                        shouldUpgrade: { channel, head in
                            let isRoom = head.uri == "/chat"
                            return channel.eventLoop.makeSucceededFuture(isRoom ? [:] : nil)
                        },
                        upgradePipelineHandler: { channel, _ in
                            channel.eventLoop.makeCompletedFuture {
                                try channel.pipeline.syncOperations.addHandlers(
                                    NIOWebSocketFrameAggregator(
                                        minNonFinalFragmentSize: 1, maxAccumulatedFrameCount: 64,
                                        maxAccumulatedFrameSize: Subscriber.longestMessage),
                                    Subscriber(in: room))
                            }
                        })
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.configureHTTPServerPipeline(
                        withServerUpgrade: (
                            [upgrader], { Welcome.remove(from: $0.pipeline.syncOperations) }
                        ),
                        withErrorHandling: true)
                    // Before the handler that upgrades, so that it stays in the pipeline and sees
                    // the connection close.
                    let upgrading = try pipeline.handler(type: HTTPServerUpgradeHandler.self)
                    try pipeline.addHandler(
                        HTTP1ServerMetricsHandler(recorder) { Welcome.route(of: $0) },
                        position: .before(upgrading))
                    try pipeline.addHandler(Welcome())
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
    }

    /// Waits for a signal, or until `seconds` have passed.
    private static func wait(for signals: UnixSignalsSequence, atMost seconds: Double?) async {
        await withTaskGroup { group in
            group.addTask { for await _ in signals { return } }
            if let seconds {
                group.addTask { try? await Task.sleep(for: .seconds(seconds)) }
            }
            await group.next()
            group.cancelAll()
        }
    }

    private static func say(_ text: String) {
        print(text)
        fflush(nil)
    }
}
