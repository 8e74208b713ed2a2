// SPDX-License-Identifier: Apache-2.0
// Tests of the separate listener for `/debug`, which a configuration or a token may move to the
// main one, and of the warning in an unreachable pod.

import Glibc
import Outrider
import OutriderEndpoint
import TestSupport
import Testing

@Suite struct DebugListenerTests {
    /// An agent with the default listener for `/debug`, unless the environment sets another.
    private func started(
        _ environment: [String: String] = ["OUTRIDER_DEBUG_ADDRESS": ""],
        at address: String = "127.0.0.1:0",
        log: DiagnosticLog = DiagnosticLog { _, _ in },
        _ change: (inout Agent.Configuration) -> Void = { _ in }
    ) throws -> Agent {
        var configuration = isolated(environment, log: log)
        configuration.address = try ListenAddress(address)
        change(&configuration)
        return Agent.start(configuration)
    }

    @Test(arguments: ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"])
    func `by default, /debug is on a separate loopback listener that the main one links to`(
        main: String
    ) throws {
        let agent = try started(at: main)
        defer { agent.stop() }
        let debug = try #require(agent.debugAddress)
        let url = try #require(debug.url)
        #expect(url.hasPrefix("http://127.0.0.1:") && debug != agent.address)
        let answer = try fetch("/debug", from: debug)
        #expect(answer.status == 200)
        #expect(answer.text.hasPrefix("Outrider "))
        for path in ["/debug", "/debug/", "/debug/pprof/heap", "/debug/nothing"] {
            let refusal = try fetch(path, from: address(of: agent))
            #expect(refusal.status == 403)
            #expect(refusal.text.contains("\(url)/"))
        }
        let landing = try fetch("/", from: address(of: agent)).text
        #expect(landing.contains(#"<a href="\#(url)/">"#))
        #expect(!landing.contains("/debug"))
        #expect(try fetch("/", from: debug).text.contains(#"<a href="/debug">"#))
        #expect(try fetch("/metrics", from: address(of: agent)).status == 200)
    }

    @Test func `the default debug port is 9465 beside 9464, and a free port beside any other`()
        throws
    {
        for text in ["127.0.0.1:9464", "0.0.0.0:9464", "[::]:9464"] {
            let chosen = Agent.DebugAddress.beside(try ListenAddress(text))
            #expect(chosen == .at(.loopback(port: 9465)), "\(text)")
        }
        for text in ["127.0.0.1:0", "127.0.0.1:9465", "0.0.0.0:8080", "[::1]:9463"] {
            let chosen = Agent.DebugAddress.beside(try ListenAddress(text))
            #expect(chosen == .at(.loopback(port: 0)), "\(text)")
        }
        let socket = ListenAddress.unix(path: "/run/shop/outrider.sock")
        #expect(Agent.DebugAddress.beside(socket) == .disabled)
    }

    @Test func `an agent on a Unix socket serves /debug there`() throws {
        let path = "/tmp/outrider-debug-\(UInt64.random(in: 0 ... .max)).sock"
        let agent = try started(at: "unix:\(path)")
        defer { agent.stop() }
        #expect(agent.debugAddress == nil)
        #expect(try fetch("/debug", from: address(of: agent)).status == 200)
    }

    @Test func `a shared loopback address serves /debug, and another shared address does not`()
        throws
    {
        let shared = ["OUTRIDER_DEBUG_ADDRESS": "shared"]
        let local = try started(shared)
        defer { local.stop() }
        #expect(local.debugAddress == nil)
        #expect(try fetch("/debug", from: address(of: local)).status == 200)
        #expect(try fetch("/", from: address(of: local)).text.contains(#"<a href="/debug">"#))
        let open = try started(shared, at: "0.0.0.0:0")
        defer { open.stop() }
        #expect(try fetch("/debug", from: address(of: open)).status == 403)
        let inCode = try started { $0.debugAddress = .shared }
        defer { inCode.stop() }
        #expect(try fetch("/debug", from: address(of: inCode)).status == 200)
    }

    @Test func `with a token file, both listeners serve /debug to requests with the token only`()
        throws
    {
        let file = "/tmp/outrider-debug-\(UInt64.random(in: 0 ... .max)).token"
        defer { unsafe unlink(file) }
        let stream = unsafe try #require(unsafe fopen(file, "w"))
        unsafe fputs("sesame\n", stream)
        unsafe fclose(stream)
        let agent = try started([
            "OUTRIDER_DEBUG_ADDRESS": "", "OUTRIDER_DEBUG_TOKEN_FILE": file,
        ])
        defer { agent.stop() }
        for listener in [try address(of: agent), try #require(agent.debugAddress)] {
            #expect(try fetch("/debug", from: listener).status == 401)
            let connection = try Connection(listener)
            try connection.send(
                "GET /debug HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer sesame\r\n\r\n")
            #expect(try connection.response().status == 200)
        }
    }

    @Test func `a second listener serves only operator pages`() throws {
        // On an IPv6 address, whose port no other test takes after the stop.
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

    @Test func `code takes precedence over the environment, and either may disable the listener`()
        throws
    {
        let path = "/tmp/outrider-debug-\(UInt64.random(in: 0 ... .max)).sock"
        let first = try started(["OUTRIDER_DEBUG_ADDRESS": "127.0.0.1:0"]) {
            $0.debugAddress = .at(.unix(path: path))
        }
        defer { first.stop() }
        #expect(first.debugAddress == .unix(path: path))
        let second = try started(["OUTRIDER_DEBUG_ADDRESS": "none"])
        defer { second.stop() }
        #expect(second.debugAddress == nil)
        let refusal = try fetch("/debug", from: address(of: second))
        #expect(refusal.status == 403)
        #expect(refusal.text.contains("OUTRIDER_DEBUG_ADDRESS"))
        let third = try started(["OUTRIDER_DEBUG_ADDRESS": "127.0.0.1:0"]) {
            $0.debugAddress = .disabled
        }
        defer { third.stop() }
        #expect(third.debugAddress == nil)
    }

    @Test func `an invalid debug address is refused and counted, and the main listener serves`()
        throws
    {
        let agent = try started(["OUTRIDER_DEBUG_ADDRESS": "nonsense"])
        defer { agent.stop() }
        let metrics = try fetch("/metrics", from: address(of: agent)).text
        #expect(metrics.contains(#"outrider_start_failures_total{reason="invalid_environment"} 1"#))
    }

    @Test func `with onFailure throw, a debug address in use is an error`() throws {
        let holder = try started()
        defer { holder.stop() }
        var configuration = isolated()
        configuration.debugAddress = .at(try address(of: holder))
        let error = #expect(throws: AgentError.self) {
            try Agent.start(configuration, onFailure: .throw)
        }
        #expect(error?.reason == "address_in_use")
        #expect(error?.description.contains("OUTRIDER_DEBUG_ADDRESS") == true)
    }

    @Test func `a token file without a token opens /debug to no client`() throws {
        let agent = try started(
            ["OUTRIDER_DEBUG_ADDRESS": "none", "OUTRIDER_DEBUG_TOKEN_FILE": "/dev/null"],
            at: "0.0.0.0:0")
        defer { agent.stop() }
        // A file without a token matches no request.
        #expect(try fetch("/debug", from: address(of: agent)).status == 403)
    }

    @Test(arguments: [
        ("127.0.0.1:0", true), ("[::1]:0", true), ("0.0.0.0:0", false),
    ])
    func `in Kubernetes, a loopback address is warned about once, with a remedy`(
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

    @Test func `in Kubernetes, a Unix socket causes no warning`() throws {
        let lines = Lines()
        let path = "/tmp/outrider-pod-\(UInt64.random(in: 0 ... .max)).sock"
        try started(["KUBERNETES_SERVICE_HOST": "10.0.0.1"], at: "unix:\(path)", log: lines.log)
            .stop()
        #expect(lines.all.isEmpty)
    }
}
