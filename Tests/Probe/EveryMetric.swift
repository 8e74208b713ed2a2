// SPDX-License-Identifier: Apache-2.0
// Has an agent expose what it does only once something has happened: requests, refusals, overflows.

import Outrider
import OutriderHTTP

enum EveryMetric {
    /// Requests as a service records them, each optional family included.
    static func configure(_ configuration: inout Agent.Configuration) {
        configuration.http.naming = .both
        configuration.http.recordsBodySizes = true
        configuration.http.recordsTimeToFirstByte = true
    }

    static func record(in agent: Agent) {
        let orders = agent.http.route("/orders/:id")
        let token = agent.http.begin(method: "GET", route: orders)
        token.addRequestBytes(10)
        token.noteHead(status: 200)
        token.addResponseBytes(100)
        token.finish()
        let failed = agent.http.begin(method: "GET", route: orders)
        failed.setStatus(500)
        failed.noteHead(status: 500)
        failed.finish(.clientDisconnected)
        agent.http.noteProtocolError(.parse)
        let socket = agent.http.begin(method: "GET", route: agent.http.route("/live"))
        socket.upgrade(to: "websocket").end()

        let client = HTTPClientRecorder(registry: agent.registry)
        let call = client.begin(method: "GET", to: client.peer("stock.internal", port: 80))
        call.setStatus(200)
        call.finish()

        let full = agent.registry.counter(
            "probe_full_total", help: "A metric of a test.", labels: ["n"],
            limit: SeriesLimit(count: 1))
        for n in ["1", "2"] { full.with(n).increment() }
    }
}
