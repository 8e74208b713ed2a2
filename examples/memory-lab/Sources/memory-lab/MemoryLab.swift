// SPDX-License-Identifier: Apache-2.0
// The lab: a service whose memory is worth looking at. scripts/memory-lab.py puts it under load.
//
// Ends when its input does. The ports are free ones; the first two lines of its output tell them.

import FlyingFox
import Foundation
import Outrider
import OutriderFlyingFox
import OutriderHeap

@main
struct MemoryLab {
    static func main() async throws {
        // A sample each 64 KiB, and more time for it: a lab looks more closely than a service has to.
        var sampling = HeapProfiler.Configuration(interval: 65_536)
        sampling.budget = 0.1
        var configuration = Agent.Configuration(address: .loopback(port: 0))
        // Which types are allocated, and how many tasks there are: off by default, since both are experimental.
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
        // On a thread of its own, since reading waits.
        await withCheckedContinuation { ended in
            Thread {
                while readLine() != nil {}
                ended.resume()
            }.start()
        }
        await server.stop(timeout: 0.5)
        // A server that is stopped ends with an error.
        _ = try? await serving.value
        agent.stop()
    }
}
