// SPDX-License-Identifier: Apache-2.0
// Tests of an agent's recorder for the service's requests.

import Dispatch
import Outrider
import OutriderTesting
import TestSupport
import Testing

@Suite struct AgentHTTPTests {
    @Test func `requests recorded by the agent are in its scrape, with the configured buckets`()
        throws
    {
        var configuration = isolated()
        configuration.http.buckets = .lowLatency
        let agent = Agent.start(configuration)
        defer { agent.stop() }
        let token = agent.http.begin(method: "GET", route: agent.http.route("/orders/:id"))
        token.setStatus(200)
        token.finish()
        let scrape = try fetch("/metrics", from: address(of: agent)).text
        #expect(
            scrape.contains(
                #"http_server_active_requests{http_request_method="GET",url_scheme="http"} 0"#))
        #expect(scrape.contains(#"le="0.0005""#))
        #expect(scrape.contains(#"http_route="/orders/:id""#))
    }

    @Test func `an agent has one recorder, however many threads access it`() {
        let agent = Agent.start(isolated())
        defer { agent.stop() }
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            agent.http.begin(method: "GET").finish()
        }
        #expect(agent.http === agent.http)
        #expect(
            agent.registry.value(
                "http_server_request_duration_seconds_count",
                [
                    "http_request_method": "GET", "http_route": "_UNMATCHED",
                    "http_response_status_code": "200", "url_scheme": "http",
                ]) == 8)
    }

    @Test func `without requests there are no request metrics`() throws {
        let agent = Agent.start(isolated())
        defer { agent.stop() }
        #expect(try !fetch("/metrics", from: address(of: agent)).text.contains("http_server"))
    }
}
