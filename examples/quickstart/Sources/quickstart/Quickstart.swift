// SPDX-License-Identifier: Apache-2.0
// A service with Outrider: start the agent, run the service, stop both.
//
// SECONDS_TO_RUN sets the time after which it exits; QUICKSTART_PORT and OUTRIDER_ADDRESS set the
// ports (0: any). QUICKSTART_TRAFFIC=none disables the built-in traffic.

import Foundation
import Outrider
import OutriderHeap

@main
struct Quickstart {
    static func main() async throws {
        let signals = await Signals()
        var configuration = Agent.Configuration()
        configuration.http.buckets = .lowLatency
        let variables = ProcessInfo.processInfo.environment
        var sampling = HeapProfiler.Configuration()
        // At the default interval of 512 KiB, a service this small has hardly any samples.
        if variables["OUTRIDER_HEAP_INTERVAL"] == nil { sampling.interval = 4_096 }
        let agent = Agent.start(configuration, profiles: [HeapProfiler(sampling)])

        let port = variables["QUICKSTART_PORT"].flatMap(UInt16.init) ?? 8080
        let seconds = variables["SECONDS_TO_RUN"].flatMap(Double.init)

        let service = try OrderService(port: port, recorder: agent.http)
        let serving = Task { await service.run() }
        try await service.server.waitUntilListening()
        let actualPort = await service.port ?? port
        let traffic = Task {
            if variables["QUICKSTART_TRAFFIC"] != "none" { await Traffic(port: actualPort).run() }
        }

        welcome(
            service: "http://127.0.0.1:\(actualPort)", agent: agent.address?.url,
            debug: agent.debugAddress?.url)
        await signals.wait(atMost: seconds)

        agent.markDraining()
        traffic.cancel()
        await traffic.value
        await service.stop()
        await serving.value
        agent.stop()
        say("stopped")
    }

    private static func welcome(service: String, agent: String?, debug: String?) {
        say("service   \(service)")
        if let agent {
            // Without a separate address, /debug is on the agent's address.
            let debug = debug ?? agent
            say(
                """
                agent     \(agent)
                debug     \(debug)/debug

                try       curl -s \(agent)/metrics | grep orders_placed
                          curl -s -X POST '\(service)/orders?kind=book'
                          curl -s \(agent)/readyz
                          open \(agent)/ in a browser
                          open \(debug)/debug/pprof/heap?format=flamegraph in a browser
                          go tool pprof -top \(debug)/debug/pprof/heap
                Grafana   import dashboards/outrider-service.json; README has the scrape config
                """)
        } else {
            say("agent     not listening yet; the message above has the reason; retrying")
        }
        say("Ctrl-C stops it.")
    }

    private static func say(_ text: String) {
        print(text)
        fflush(nil)
    }
}
