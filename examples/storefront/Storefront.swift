// SPDX-License-Identifier: Apache-2.0
// The order service of a flash sale: two cache levels before a database, workers with a deadline, a
// rate limit, a lock around the stock, and the agent that monitors them all.

import Foundation
import Hummingbird
import Logging
import NIOPosix
import Outrider
import OutriderHeap
import OutriderHummingbird
import OutriderInstruments
import OutriderNIO
import OutriderServiceLifecycle
import ServiceLifecycle

@main
struct Storefront {
    static func main() async throws {
        do {
            try await run(Settings())
        } catch let error as Settings.Invalid {
            say("\(error)")
            exit(2)
        }
    }

    private static func run(_ settings: Settings) async throws {
        var logger = Logger(label: "storefront")
        logger.logLevel = .error
        let agent = Agent.start(configuration(), profiles: [HeapProfiler()])
        agent.runtime.watch(MultiThreadedEventLoopGroup.singleton)

        let store = try OrderStore(file: settings.database, fault: settings.fault)
        let cache = OrderCache(
            capacity: 10_000, life: settings.fault == .coldCache ? .zero : .seconds(5))
        let redis = settings.redis.map(RedisClient.init)
        let shared: any SharedState =
            redis.map { RedisState(redis: $0) } ?? LocalState { cache.invalidate($0) }
        let batches = BatchWriter(store)
        let writeBack = WriteBack(shared)
        let drain = Drain(batches: batches, writeBack: writeBack)
        let desk = OrderDesk(
            cache: cache, shared: shared, store: store, batches: batches, writeBack: writeBack,
            settings: settings)
        let workers = WorkerPool(
            "orders", workers: 16, capacity: 256, deadline: .milliseconds(50))
        let routes = OrderRoutes(desk: desk, workers: workers, drain: drain)
        let app = Application(
            router: routes.router(recorder: agent.http),
            server: .http1(
                configuration: .init(additionalChannelHandlers: [ProtocolErrorHandler(agent.http)])),
            configuration: .init(address: .hostname(settings.host, port: settings.port)),
            onServerRunning: {
                welcome(
                    port: $0.localAddress?.port ?? 0, agent: agent.address?.url,
                    debug: agent.debugAddress?.url)
            },
            logger: logger)

        var services: [any Service] = [LastScrape(limit: settings.lastScrape), batches, writeBack]
        if let address = settings.redis {
            services.append(InvalidationListener(address: address, cache: cache))
        }
        services += [app]
        var group = ServiceGroupConfiguration(
            services: agent.services(around: services, drainDelay: settings.drainDelay) + [drain],
            gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        group.services.append(
            .init(
                service: Timer(seconds: settings.seconds),
                successTerminationBehavior: .gracefullyShutdownGroup))
        try await ServiceGroup(configuration: group).run()

        await redis?.close()
        await store.close()
        say("stopped")
    }

    private static func configuration() -> Agent.Configuration {
        var configuration = Agent.Configuration()
        // Settings in code override the environment.
        if ProcessInfo.processInfo.environment["OTEL_SERVICE_NAME"] == nil {
            configuration.serviceName = "storefront"
        }
        configuration.http.buckets = .lowLatency
        configuration.http.recordsBodySizes = true
        configuration.http.recordsTimeToFirstByte = true
        configuration.http.excludedRoutes = ["/healthz", "/readyz"]
        configuration.runtime.stallThreshold = .milliseconds(100)
        return configuration
    }

    private static func welcome(port: Int, agent: String?, debug: String?) {
        let service = "http://127.0.0.1:\(port)"
        say("service   \(service)")
        say("agent     \(agent ?? "not listening yet; retrying")")
        if let debug { say("debug     \(debug)/debug") }
        say(
            """

            try       curl -s \(service)/orders/1
                      curl -s -X POST '\(service)/orders?item=book&customer=c7'
                      curl -s -X DELETE \(service)/orders/1
                      curl -s \(agent ?? "")/metrics | grep -E 'cache_requests|rate_limiter'
            Ctrl-C stops it.
            """)
    }

    private static func say(_ text: String) {
        print(text)
        fflush(nil)
    }
}
