// SPDX-License-Identifier: Apache-2.0
// The agent brings a backend for swift-metrics that records where it scrapes.

import CoreMetrics
import Outrider
import OutriderTesting
import Testing

@Suite struct AgentMetricsFactoryTests {
    @Test func `what swift-metrics records is in the agent's scrape`() throws {
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
