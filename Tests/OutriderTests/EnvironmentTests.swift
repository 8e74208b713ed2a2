// SPDX-License-Identifier: Apache-2.0
// Tests of environment variables: an invalid one is refused with a clear error, and the default
// applies.

import Outrider
import TestSupport
import Testing

@Suite struct EnvironmentTests {
    /// The line of `target_info` with these variables.
    private func targetInfo(
        _ variables: [String: String], _ change: (inout Agent.Configuration) -> Void = { _ in }
    ) -> String? {
        var configuration = isolated(variables)
        change(&configuration)
        let agent = Agent.start(configuration)
        defer { agent.stop() }
        return agent.registry.text().split(separator: "\n").first { $0.hasPrefix("target_info{") }
            .map(String.init)
    }

    @Test func `OUTRIDER_ADDRESS sets the address, and code takes precedence`() throws {
        let path = "/tmp/outrider-agent-\(UInt64.random(in: 0 ... .max)).sock"
        var configuration = isolated(["OUTRIDER_ADDRESS": "unix:\(path)"])
        configuration.address = nil
        let agent = Agent.start(configuration)
        defer { agent.stop() }
        #expect(agent.address == .unix(path: path))
        #expect(try fetch("/healthz", from: address(of: agent)).status == 200)
        let other = Agent.start(isolated(["OUTRIDER_ADDRESS": "unix:\(path)"]))
        defer { other.stop() }
        #expect(other.address?.port != nil)
    }

    @Test func `OpenTelemetry's host and port apply if OUTRIDER_ADDRESS is not set`() throws {
        var configuration = isolated([
            "OTEL_EXPORTER_PROMETHEUS_HOST": "::1", "OTEL_EXPORTER_PROMETHEUS_PORT": "0",
        ])
        configuration.address = nil
        let agent = Agent.start(configuration)
        defer { agent.stop() }
        #expect(agent.address?.description.hasPrefix("[::1]:") == true)
    }

    @Test(arguments: [
        ["OUTRIDER_ADDRESS": "9464"],
        ["OTEL_EXPORTER_PROMETHEUS_PORT": "65536"], ["OTEL_EXPORTER_PROMETHEUS_HOST": "a b"],
        ["OTEL_RESOURCE_ATTRIBUTES": "a"], ["OTEL_RESOURCE_ATTRIBUTES": "a=%zz"],
        ["OTEL_RESOURCE_ATTRIBUTES": "=b"], ["OTEL_RESOURCE_ATTRIBUTES": "a=%ff"],
        ["OTEL_RESOURCE_ATTRIBUTES": "a=%+1"],
        ["OUTRIDER_IDLE_TIMEOUT": "0"], ["OUTRIDER_IDLE_TIMEOUT": "86401"],
        ["OUTRIDER_IDLE_TIMEOUT": "+75"], ["OUTRIDER_IDLE_TIMEOUT": "75s"],
        ["OUTRIDER_IDLE_TIMEOUT": "1.5"],
    ])
    func `an invalid variable is thrown, or logged and counted`(
        variables: [String: String]
    ) throws {
        let name = try #require(variables.keys.first)
        let error = #expect(throws: AgentError.self) {
            try Agent.start(isolated(variables), onFailure: .throw)
        }
        #expect(error?.reason == "invalid_environment")
        #expect(error?.description.contains(name) == true)

        let lines = Lines()
        let agent = Agent.start(isolated(variables, log: lines.log))
        defer { agent.stop() }
        #expect(agent.address != nil)
        #expect(lines.all.contains { $0.contains(name) })
        #expect(
            agent.registry.text().contains(
                #"outrider_start_failures_total{reason="invalid_environment"} 1"#))
    }

    @Test func `an empty variable is the same as an absent one`() throws {
        let empty = ["OUTRIDER_ADDRESS": "", "OTEL_SERVICE_NAME": ""]
        let agent = try Agent.start(isolated(empty), onFailure: .throw)
        agent.stop()
    }

    @Test func `target_info identifies the service by its resource`() {
        let info = targetInfo([
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_RESOURCE_ATTRIBUTES":
                "service.name=ignored, service.version = 1.2%2C3 ,deployment.environment=a=b",
        ])
        #expect(
            info
                == #"target_info{deployment_environment="a=b",service_name="shop",service_version="1.2,3"} 1"#
        )
    }

    @Test func `in target_info, code takes precedence over the environment`() {
        let info = targetInfo(["OTEL_SERVICE_NAME": "shop", "OTEL_RESOURCE_ATTRIBUTES": "a=1,b=2"])
        {
            $0.serviceName = "till"
            $0.resource = ["a": "3"]
        }
        #expect(info == #"target_info{a="3",b="2",service_name="till"} 1"#)
    }

    @Test func `attribute names become valid label names`() {
        let info = targetInfo([
            "OTEL_SERVICE_NAME": "s",
            "OTEL_RESOURCE_ATTRIBUTES": "1a=x,__b=y,le=z,h\u{e9}=v,c.d=1,c_d=2",
        ])
        #expect(
            info
                == #"target_info{_b="y",c_d="1;2",h_="v",key_1a="x",key_le="z",service_name="s"} 1"#
        )
    }

    @Test func `a service without a name is named after its program`() {
        #expect(targetInfo([:])?.contains(#"service_name="unknown_service:"#) == true)
    }
}
