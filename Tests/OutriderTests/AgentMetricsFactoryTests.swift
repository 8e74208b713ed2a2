// SPDX-License-Identifier: Apache-2.0
// Tests of an agent's swift-metrics backend, which records into the agent's registry.

import CoreMetrics
import Outrider
import OutriderTesting
import Testing

@Suite struct AgentMetricsFactoryTests {
    @Test func `metrics recorded through swift-metrics are in the agent's scrape`() throws {
        var configuration = isolated()
        configuration.metricsFactory.naming = .verbatim
        configuration.metricsFactory.buckets = [.init("wait", [1])]
        let agent = Agent.start(configuration)
        defer { agent.stop() }
        CoreMetrics.Counter(
            label: "orders", dimensions: [("kind", "book")], factory: agent.metricsFactory
        ).increment()
        CoreMetrics.Timer(label: "wait", factory: agent.metricsFactory).recordSeconds(1)
        try agent.registry.expect("orders", ["kind": "book"], 1)
        try agent.registry.expect("wait_bucket", ["le": "1.0"], 1)
    }
}
