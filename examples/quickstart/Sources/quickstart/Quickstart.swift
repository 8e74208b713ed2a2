// SPDX-License-Identifier: Apache-2.0
// A service with Outrider in it: start the agent, run the service, stop both.
//
// SECONDS_TO_RUN ends it by itself; QUICKSTART_PORT and OUTRIDER_ADDRESS move it (0: any port).

import Dispatch
import Foundation
import Outrider

@main
struct Quickstart {
    static func main() async throws {
        let agent = Agent.start()

        let variables = ProcessInfo.processInfo.environment
        let port = variables["QUICKSTART_PORT"].flatMap(UInt16.init) ?? 8080
        let seconds = variables["SECONDS_TO_RUN"].flatMap(Double.init)

        let service = try OrderService(port: port)
        await service.addRoutes()
        let serving = Task { try await service.server.run() }
        try await service.server.waitUntilListening()
        let actualPort = await service.port ?? port
        let traffic = Task { await Traffic(port: actualPort).run() }

        welcome(service: "http://127.0.0.1:\(actualPort)", agent: agent.address?.url)
        await end(after: seconds)

        agent.markDraining()
        traffic.cancel()
        await traffic.value
        await service.server.stop(timeout: 2)
        try? await serving.value
        agent.stop()
        say("stopped")
    }

    private static func welcome(service: String, agent: String?) {
        let agent = agent ?? "(not listening yet: see the message above)"
        say(
            """
            service   \(service)
            agent     \(agent)

            try       curl -s \(agent)/metrics | grep orders_placed
                      curl -s -X POST '\(service)/orders?kind=book'
                      curl -s \(agent)/readyz
                      open \(agent)/ in a browser
            Grafana   import dashboards/outrider-service.json; README has the scrape config
            Ctrl-C stops it.
            """)
    }

    /// Waits for SIGINT or SIGTERM, or until `seconds` have passed.
    private static func end(after seconds: Double?) async {
        let (signals, signalled) = AsyncStream.makeStream(of: Void.self)
        let sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number)
            source.setEventHandler { signalled.yield() }
            source.resume()
            return source
        }
        let timer = Task {
            guard let seconds else { return }
            try await Task.sleep(for: .seconds(seconds))
            signalled.yield()
        }
        for await _ in signals { break }
        timer.cancel()
        for source in sources { source.cancel() }
    }

    private static func say(_ text: String) {
        print(text)
        fflush(nil)
    }
}
