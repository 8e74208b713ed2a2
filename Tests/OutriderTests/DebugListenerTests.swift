// SPDX-License-Identifier: Apache-2.0
// Where other machines can reach the agent, `/debug` has a place of its own; and a pod is told when
// nobody can reach it.

import Outrider
import TestSupport
import Testing

@Suite struct DebugListenerTests {
    private func started(
        _ environment: [String: String] = [:], at address: String = "127.0.0.1:0",
        log: DiagnosticLog = DiagnosticLog { _, _ in },
        _ change: (inout Agent.Configuration) -> Void = { _ in }
    ) throws -> Agent {
        var configuration = isolated(environment, log: log)
        configuration.address = try ListenAddress(address)
        change(&configuration)
        return Agent.start(configuration)
    }

    @Test func `on the loopback address there is one listener, and it serves everything`() throws {
        let agent = try started()
        defer { agent.stop() }
        #expect(agent.debugAddress == nil)
        let answer = try fetch("/debug", from: address(of: agent))
        #expect(answer.status == 200)
        #expect(answer.text.hasPrefix("Outrider "))
    }

    @Test func `a second listener serves operators and nobody else`() throws {
        // At an IPv6 address, whose port no other test takes after the stop.
        let agent = try started(["OUTRIDER_DEBUG_ADDRESS": "[::1]:0"], at: "0.0.0.0:0")
        defer { agent.stop() }
        let debug = try #require(agent.debugAddress)
        #expect(try fetch("/debug", from: address(of: agent)).status == 403)
        #expect(try fetch("/metrics", from: address(of: agent)).status == 200)
        #expect(try fetch("/debug", from: debug).status == 200)
        #expect(try fetch("/metrics", from: debug).status == 404)
        #expect(try fetch("/", from: debug).text.contains("/debug"))
        agent.stop()
        #expect(agent.debugAddress == nil)
        #expect(throws: ConnectionFailure.self) { try Connection(debug) }
    }

    @Test func `code goes before the environment, and either may say that there is none`() throws {
        let path = "/tmp/outrider-debug-\(UInt64.random(in: 0 ... .max)).sock"
        let first = try started(["OUTRIDER_DEBUG_ADDRESS": "127.0.0.1:0"]) {
            $0.debugAddress = .unix(path: path)
        }
        defer { first.stop() }
        #expect(first.debugAddress == .unix(path: path))
        let second = try started(["OUTRIDER_DEBUG_ADDRESS": "none"], at: "0.0.0.0:0")
        defer { second.stop() }
        #expect(second.debugAddress == nil)
        let third = try started(["OUTRIDER_DEBUG_ADDRESS": "127.0.0.1:0"]) {
            $0.opensDebugListener = false
        }
        defer { third.stop() }
        #expect(third.debugAddress == nil)
    }

    @Test func `a bad second address is refused and counted, and the first one serves`() throws {
        let agent = try started(["OUTRIDER_DEBUG_ADDRESS": "nonsense"])
        defer { agent.stop() }
        let metrics = try fetch("/metrics", from: address(of: agent)).text
        #expect(metrics.contains(#"outrider_start_failures_total{reason="invalid_environment"} 1"#))
    }

    @Test func `whoever wants to know is told of a second address that is taken`() throws {
        let holder = try started()
        defer { holder.stop() }
        var configuration = isolated()
        configuration.debugAddress = try address(of: holder)
        let error = #expect(throws: AgentError.self) {
            try Agent.start(configuration, onFailure: .throw)
        }
        #expect(error?.reason == "address_in_use")
    }

    @Test func `a token opens debug where other machines can reach it`() throws {
        let agent = try started(
            ["OUTRIDER_DEBUG_ADDRESS": "none", "OUTRIDER_DEBUG_TOKEN_FILE": "/dev/null"],
            at: "0.0.0.0:0")
        defer { agent.stop() }
        // A file without a token in it lets nobody in.
        #expect(try fetch("/debug", from: address(of: agent)).status == 403)
    }

    @Test(arguments: [
        ("127.0.0.1:0", true), ("[::1]:0", true), ("0.0.0.0:0", false),
    ])
    func `in Kubernetes a loopback address is warned about once, with the remedy`(
        text: String, isWarned: Bool
    ) throws {
        let lines = Lines()
        let environment = [
            "KUBERNETES_SERVICE_HOST": "10.0.0.1", "OUTRIDER_DEBUG_ADDRESS": "127.0.0.1:0",
        ]
        for _ in 0..<2 { try started(environment, at: text, log: lines.log).stop() }
        let warnings = lines.all.filter { $0.contains("Kubernetes") }
        #expect(warnings.count == (isWarned ? 1 : 0))
        #expect(warnings.allSatisfy { $0.contains("OUTRIDER_ADDRESS=0.0.0.0:") })
    }

    @Test func `a Unix socket in a pod is nobody's mistake`() throws {
        let lines = Lines()
        let path = "/tmp/outrider-pod-\(UInt64.random(in: 0 ... .max)).sock"
        try started(["KUBERNETES_SERVICE_HOST": "10.0.0.1"], at: "unix:\(path)", log: lines.log)
            .stop()
        #expect(lines.all.isEmpty)
    }
}
