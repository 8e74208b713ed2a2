// SPDX-License-Identifier: Apache-2.0
// Empty results share no memory that is written to.
//
// Swift has one storage for all empty arrays of a process. `Array(unsafeUninitializedCapacity:)` writes the count to it
// if the capacity is zero, which is a race with each thread that reads an empty array. The thread sanitizer reports it.

import OutriderMetrics
import OutriderThreading
import OutriderWire
import Testing

@Suite struct EmptyArrayConcurrencyTests {
    /// Calls `makeEmpty` in four threads, each of which reads another empty array as well.
    private func inThreads(_ makeEmpty: @escaping @Sendable () -> Int) async -> Int {
        await withTaskGroup(of: Int.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    (0..<200).reduce(0) { sum, _ in
                        let none: [Int] = []
                        return sum + none.span.count + makeEmpty()
                    }
                }
            }
            return await group.reduce(0, +)
        }
    }

    @Test func `scrapes of a registry without metrics do not race`() async {
        let registry = Registry(hasOwnMetrics: false, log: .silent)
        let bytes = await inThreads { registry.respond(accept: "text/plain").body.count }
        #expect(bytes == 0)
    }

    @Test func `removals that match an absent label do not race`() async {
        let registry = Registry(hasOwnMetrics: false, log: .silent)
        let family = registry.counter("jobs", help: "Jobs.", labels: ["queue"])
        #expect(await inThreads { family.removeAll(matching: ["queue": ""]) } == 0)
    }

    @Test func `compressions without room do not race`() async {
        #expect(await inThreads { Gzip.member([1, 2, 3], limit: 0)?.count ?? 0 } == 0)
    }
}
