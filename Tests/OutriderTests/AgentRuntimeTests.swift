// SPDX-License-Identifier: Apache-2.0
// Tests of an agent's runtime metrics: on by default, refreshed by a one-second timer, with stalls
// on an operator page.

import Glibc
import Outrider
import OutriderMetrics
import TestSupport
import Testing

/// The number of threads of this process with this name.
private func threads(named name: String) -> Int {
    guard let listing = unsafe opendir("/proc/self/task") else { return -1 }
    defer { unsafe closedir(listing) }
    var count = 0
    while let entry = unsafe readdir(listing) {
        let number = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
            unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) {
                unsafe String(cString: $0)
            }
        }
        guard let file = unsafe fopen("/proc/self/task/\(number)/comm", "r") else { continue }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 64)
        guard unsafe fgets(&line, 64, file) != nil else { continue }
        let found = String(decoding: line.prefix { $0 != 10 }.map(UInt8.init), as: UTF8.self)
        if found == name { count += 1 }
    }
    return count
}

@Suite struct AgentRuntimeTests {
    @Test func `the timer thread ends with the agent, and does not start with a failed one`() async
    {
        await #expect(processExitsWith: .success) {
            let first = try Agent.start(isolated(), onFailure: .throw)
            try #require(eventually { threads(named: "outrider-beat") == 1 })
            var taken = isolated()
            taken.address = first.address
            #expect(throws: AgentError.self) { try Agent.start(taken, onFailure: .throw) }
            // A thread that the timer starts has its name too, until it sets its own.
            try #require(eventually { threads(named: "outrider-beat") == 1 })
            first.stop()
            try #require(eventually { threads(named: "outrider-beat") == 0 })
        }
    }

    @Test func `the page /debug/stalls exists only if stalls are watched`() throws {
        let without = Agent.start(isolated())
        defer { without.stop() }
        #expect(try fetch("/debug/stalls", from: address(of: without)).status == 404)
        var configuration = isolated()
        configuration.runtime.stallThreshold = .seconds(5)
        let with = Agent.start(configuration)
        defer { with.stop() }
        let page = try fetch("/debug/stalls", from: address(of: with))
        #expect(page.status == 200)
        #expect(page.text.contains("No stalls recorded."))
    }

    @Test func `switched-off metrics are absent`() throws {
        var configuration = isolated()
        configuration.runtime = .disabled
        let agent = Agent.start(configuration)
        defer { agent.stop() }
        let names = agent.registry.text().split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }
            .map { $0.split(separator: " ")[2] }
        #expect(!names.isEmpty)
        for prefix in ["process_", "thread", "cgroup_", "malloc_", "swift_", "sockets", "tcp_"] {
            #expect(names.filter { $0.hasPrefix(prefix) } == [], "\(prefix)")
        }
    }
}
