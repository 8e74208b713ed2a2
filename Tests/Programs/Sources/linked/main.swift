// SPDX-License-Identifier: Apache-2.0
// The same program with Outrider and the malloc hooks.
//
//     with-agent …   the same commands, after starting an agent
//     serve          prints the agent's URL, holds some memory, and waits for the end of its input

import HostBehaviour
import Outrider
import OutriderHeap

let arguments = orders()
switch arguments.first {
case "with-agent":
    Agent.start(.init(address: .loopback(port: 0)), profiles: [HeapProfiler()])
    behave(Array(arguments.dropFirst()))
case "serve":
    var configuration = Agent.Configuration()
    configuration.runtime.stallThreshold = .seconds(1)
    let agent = Agent.start(configuration, profiles: [HeapProfiler()])
    let orders = agent.registry.counter("orders_total", help: "Orders.")
    let held = holdMemory()
    say(agent.address?.url ?? "nowhere")
    while readLine() != nil { orders.increment() }
    agent.stop()
    say("stopped, with \(held.count) pages held")
default: behave(arguments)
}

/// Allocates 32 MiB, under a function name that profiles show.
@inline(never)
func holdMemory() -> [[UInt8]] {
    (0..<8_192).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 4_096) }
}
