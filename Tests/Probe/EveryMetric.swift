// SPDX-License-Identifier: Apache-2.0
// Makes an agent expose the metrics that appear only after an event, such as a request, refusal or
// overflow.

import Outrider
import OutriderHTTP
import OutriderInstruments

@MainActor
enum EveryMetric {
    /// Keeps the instruments alive as long as the process.
    private static var kept: [any Sendable] = []

    /// Enables every optional family of request metrics.
    static func configure(_ configuration: inout Agent.Configuration) {
        configuration.http.naming = .both
        configuration.http.recordsBodySizes = true
        configuration.http.recordsTimeToFirstByte = true
    }

    static func record(in agent: Agent) {
        let orders = agent.http.route("/orders/:id")
        let token = agent.http.begin(method: "GET", route: orders)
        token.addRequestBytes(10)
        token.recordHead(status: 200)
        token.addResponseBytes(100)
        token.finish()
        let failed = agent.http.begin(method: "GET", route: orders)
        failed.setStatus(500)
        failed.recordHead(status: 500)
        failed.finish(.clientDisconnected)
        agent.http.recordProtocolError(.parse)
        let socket = agent.http.begin(method: "GET", route: agent.http.route("/live"))
        socket.upgrade(to: "websocket").end()

        let client = HTTPClientRecorder(registry: agent.registry)
        let call = client.begin(method: "GET", to: client.peer("stock.internal", port: 80))
        call.setStatus(200)
        call.finish()

        instruments(in: agent.registry)
        let full = agent.registry.counter(
            "probe_full_total", help: "A metric of a test.", labels: ["n"],
            limit: SeriesLimit(count: 1))
        for n in ["1", "2"] { full.with(n).increment() }
    }

    /// Records a request of this duration.
    static func request(in agent: Agent, milliseconds: Int) async {
        let token = agent.http.begin(method: "GET", route: agent.http.route("/orders/:id"))
        try? await Task.sleep(for: .milliseconds(milliseconds))
        token.setStatus(200)
        token.finish()
    }

    private static func instruments(in registry: Registry) {
        let cache = CacheMetrics("probe", registry: registry) { 1 }
        cache.evicted()
        let queue = WorkQueueMetrics("probe", capacity: 10, registry: registry)
        queue.setLag(messages: 1)
        let fanout = FanoutMetrics("probe", registry: registry)
        fanout.subscribe().end()
        let drain = DrainMetrics(registry: registry)
        drain.watch("probe") { 1 }
        let pool = PoolMetrics("probe", registry: registry) {
            .init(idle: 1, used: 1, max: 2, pending: 0)
        }
        pool.recordCreation(.milliseconds(2))
        let limiter = RateLimiterMetrics("probe", registry: registry) { 1 }
        limiter.allowed(after: .milliseconds(2))
        kept = [
            pool, cache, queue, limiter,
            CircuitBreakerMetrics("probe", registry: registry),
            fanout,
            ObjectPoolMetrics("probe", registry: registry),
            drain,
        ]
        InstrumentedLock("probe", 0, registry: registry).withLock { $0 += 1 }
    }
}
