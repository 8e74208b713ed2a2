// SPDX-License-Identifier: Apache-2.0
// Tests of starting an agent, waiting for its port, and its pages.

import Dispatch
import Outrider
import OutriderEndpoint
import Synchronization
import TestSupport
import Testing

/// A configuration that shares nothing with other tests.
func isolated(
    _ environment: [String: String] = [:], log: DiagnosticLog = DiagnosticLog { _, _ in }
) -> Agent.Configuration {
    var configuration = Agent.Configuration(address: .loopback(port: 0))
    configuration.registry = Registry(log: log)
    configuration.log = log
    // A single listener, which serves /debug too; an empty variable restores the default.
    configuration.environment = ["OUTRIDER_DEBUG_ADDRESS": "shared"].merging(environment) { $1 }
    configuration.retryDelay = .milliseconds(5) ... .milliseconds(20)
    return configuration
}

/// The configuration with a port that no other test uses, since they use IPv4.
func lonely(_ configuration: Agent.Configuration) throws -> Agent.Configuration {
    var configuration = configuration
    configuration.address = try ListenAddress("[::1]:0")
    return configuration
}

/// The address of a listening agent.
func address(of agent: Agent) throws -> ListenAddress {
    try #require(agent.address)
}

/// Records the lines of a log.
final class Lines: Sendable {
    private final class Store: Sendable {
        let lines = Mutex<[String]>([])
    }

    private let store = Store()
    let log: DiagnosticLog

    init() {
        let store = self.store
        log = DiagnosticLog { level, text in
            store.lines.withLock { $0.append("\(level): \(text)") }
        }
    }

    var all: [String] { store.lines.withLock { $0 } }
}

@Suite struct AgentTests {
    @Test func `a counter of the service is in the scrape, beside the process's metrics`() throws {
        let configuration = isolated()
        let agent = Agent.start(configuration)
        defer { agent.stop() }
        let orders = agent.registry.counter(
            "orders_placed_total", help: "Orders accepted.", labels: ["kind"])
        orders.with("book").increment()
        let scrape = try fetch("/metrics", from: address(of: agent))
        #expect(scrape.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8")
        #expect(scrape.header("Cache-Control") == "no-store")
        for line in [
            #"orders_placed_total{kind="book"} 1"#, "# TYPE process_cpu_seconds_total counter",
            #"outrider_build_info{swift_version="6."#, "# TYPE target_info gauge",
        ] {
            #expect(scrape.text.contains("\n" + line), "\(line)")
        }
    }

    @Test func `name[] selects families`() throws {
        let agent = Agent.start(isolated())
        defer { agent.stop() }
        let scrape = try fetch(
            "/metrics?name[]=process_threads&name[]=process_max_fds", from: address(of: agent))
        let types = scrape.text.split(separator: "\n").filter { $0.hasPrefix("# TYPE") }
        #expect(types == ["# TYPE process_max_fds gauge", "# TYPE process_threads gauge"])
    }

    @Test func `the endpoint counts its own responses by page and code`() throws {
        let agent = Agent.start(isolated())
        defer { agent.stop() }
        let address = try address(of: agent)
        for target in ["/healthz", "/healthz", "/scan"] { _ = try fetch(target, from: address) }
        let text = try fetch("/metrics", from: address).text
        #expect(text.contains(#"outrider_http_requests_total{code="200",page="/healthz"} 2"#))
        #expect(text.contains(#"outrider_http_requests_total{code="404",page="_UNMATCHED"} 1"#))
    }

    @Test func `a port in use is logged with advice, counted, and acquired once it is free`() throws
    {
        let lines = Lines()
        let first = Agent.start(try lonely(isolated()))
        var configuration = isolated(log: lines.log)
        configuration.address = try address(of: first)
        let second = Agent.start(configuration)
        defer { second.stop() }
        #expect(second.address == nil)
        #expect(lines.all.first?.contains("OUTRIDER_ADDRESS") == true)
        let text = second.registry.text()
        #expect(text.contains(#"outrider_start_failures_total{reason="address_in_use"}"#))
        first.stop()
        #expect(eventually { second.address != nil })
        #expect(try fetch("/healthz", from: address(of: second)).status == 200)
    }

    @Test func `with onFailure throw, a port in use is an error`() throws {
        let first = Agent.start(isolated())
        defer { first.stop() }
        var configuration = isolated()
        configuration.address = try address(of: first)
        let error = #expect(throws: AgentError.self) {
            try Agent.start(configuration, onFailure: .throw)
        }
        #expect(error?.reason == "address_in_use")
        #expect(error?.description.contains("choose another") == true)
    }

    @Test func `an outage is logged once, and so is its end`() throws {
        let (lines, time) = (Lines(), ManualTime())
        let first = Agent.start(try lonely(isolated()))
        var configuration = isolated(log: lines.log)
        configuration.address = try address(of: first)
        configuration.time = time
        // The minimum delay is 10 ms.
        configuration.retryDelay = .milliseconds(-5) ... .milliseconds(40)
        let second = Agent.start(configuration)
        defer { second.stop() }
        let attempts = {
            second.registry.text().split(separator: "\n")
                .first { $0.hasPrefix("outrider_start_failures_total{") }
                .flatMap { Int($0.split(separator: " ").last ?? "") } ?? 0
        }
        // With growing delays, up to the maximum.
        for (failures, delay) in [(1, 10), (2, 20), (3, 40), (4, 40)] {
            try #require(time.awaitWaiter(in: .milliseconds(delay)))
            #expect(attempts() == failures)
            if failures < 4 { time.advance(by: .milliseconds(delay)) }
        }
        first.stop()
        time.advance(by: .milliseconds(40))
        #expect(eventually { second.address != nil && lines.all.count == 2 })
        #expect(lines.all.first?.hasPrefix("error: cannot listen on") == true)
        #expect(lines.all.last?.hasPrefix("info: now listening on") == true)
    }

    @Test func `a log handler may access the agent that logs`() throws {
        let first = Agent.start(try lonely(isolated()))
        defer { first.stop() }
        let box = AgentBox()
        let log = DiagnosticLog { _, _ in _ = box.agent.withLock { $0 }?.address }
        var configuration = isolated(log: log)
        configuration.address = try address(of: first)
        let second = Agent.start(configuration)
        box.agent.withLock { $0 = second }
        first.stop()
        #expect(eventually { second.address != nil })
        second.stop()
    }

    @Test func `an agent that waits for its port can be stopped`() throws {
        let first = Agent.start(try lonely(isolated()))
        defer { first.stop() }
        var configuration = isolated()
        configuration.address = try address(of: first)
        let second = Agent.start(configuration)
        second.stop()
        first.stop()
        // The port must be free for any other listener now.
        let third = try Agent.start(configuration, onFailure: .throw)
        third.stop()
        #expect(second.address == nil)
    }

    @Test func `an agent keeps running without a reference to it`() throws {
        func begin() throws -> (ListenAddress, Registry) {
            let configuration = isolated()
            return (try address(of: Agent.start(configuration)), configuration.registry)
        }
        let (left, _) = try begin()
        #expect(try fetch("/healthz", from: left).status == 200)
    }

    @Test func `stopping again has no effect`() throws {
        let agent = Agent.start(try lonely(isolated()))
        let address = try address(of: agent)
        DispatchQueue.concurrentPerform(iterations: 4) { _ in agent.stop() }
        #expect(throws: ConnectionFailure.self) { try Connection(address) }
        #expect(agent.address == nil)
    }

    @Test func `a forked child cannot stop its parent's agent`() throws {
        let agent = Agent.start(isolated())
        defer { agent.stop() }
        #expect(inForkedChild { agent.stop() } == 0)
        #expect(try fetch("/healthz", from: address(of: agent)).status == 200)
    }

    @Test func `two agents may share a registry`() throws {
        let configuration = isolated()
        let (first, second) = (Agent.start(configuration), Agent.start(configuration))
        defer {
            first.stop()
            second.stop()
        }
        for agent in [first, second] {
            let text = try fetch("/metrics", from: address(of: agent)).text
            #expect(text.contains("# TYPE process_threads gauge"))
            #expect(
                text.split(separator: "\n").filter {
                    $0.hasPrefix("outrider_registrations_refused_total") && !$0.hasSuffix(" 0")
                } == [])
        }
    }

    @Test func `a page of the service is served beside the agent's`() throws {
        struct Hello: Page {
            let path = "/hello"
            let summary = "greets"
            func respond(to request: Request) -> Response { .text("hello\n") }
        }
        var configuration = isolated()
        configuration.pages = [Hello()]
        let agent = Agent.start(configuration)
        defer { agent.stop() }
        #expect(try fetch("/hello", from: address(of: agent)).text == "hello\n")
        let landing = try fetch("/", from: address(of: agent)).text
        for path in ["/metrics", "/healthz", "/readyz", "/hello"] {
            #expect(landing.contains("href=\"\(path)\""))
        }
    }
}

private final class AgentBox: Sendable {
    let agent = Mutex<Agent?>(nil)
}
