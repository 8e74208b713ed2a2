// SPDX-License-Identifier: Apache-2.0
// A service with interesting memory usage. scripts/memory-lab.py puts it under load.
//
// It exits when its standard input ends. The ports are free ones; the first two lines of output
// print them.

import FlyingFox
import Foundation
import Outrider
import OutriderFlyingFox
import OutriderHeap

@main
struct MemoryLab {
    static func main() async throws {
        // One sample per 64 KiB, and a larger CPU budget, for more detail than a service needs.
        var sampling = HeapProfiler.Configuration(interval: 65_536)
        sampling.budget = 0.1
        var configuration = Agent.Configuration(address: .loopback(port: 0))
        // Allocated types and the number of live tasks: off by default, because both are
        // experimental.
        configuration.runtime.objectTypes = true
        configuration.runtime.liveTasks = true
        let agent = Agent.start(configuration, profiles: [HeapProfiler(sampling)])
        let server = HTTPServer(
            address: try .inet(ip4: "127.0.0.1", port: 0), logger: .disabled,
            handler: ProductAPI().routes.recorded(by: agent.http))
        let serving = Task { try await server.run() }
        try await server.waitUntilListening()
        guard case .ip4(_, let port) = await server.listeningAddress, let url = agent.address?.url
        else { return }
        print("service http://127.0.0.1:\(port)\nagent \(url)")
        fflush(nil)
        // On a separate thread, because reading blocks.
        await withCheckedContinuation { ended in
            Thread {
                while readLine() != nil {}
                ended.resume()
            }.start()
        }
        await server.stop(timeout: 0.5)
        // A stopped server ends with an error.
        _ = try? await serving.value
        agent.stop()
    }
}
