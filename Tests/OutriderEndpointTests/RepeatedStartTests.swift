// SPDX-License-Identifier: Apache-2.0
// Tests that a thousand starts and stops leak nothing. They run in a separate process, since other
// tests open descriptors and threads.

import Glibc
import OutriderEndpoint
import TestSupport
import Testing

@Suite struct RepeatedStartTests {
    @Test func `a thousand starts and stops leave descriptors and threads as they were`() async {
        await #expect(processExitsWith: .success) {
            func once() throws {
                let endpoint = try startEndpoint()
                guard try fetch("/hello", from: endpoint.address).status == 200 else { exit(2) }
                endpoint.stop()
            }
            for _ in 0..<10 { try once() }
            let before = Holdings.now()
            for _ in 0..<1_000 { try once() }
            // The test runner's own descriptors and threads come and go. A leak would add a
            // thousand.
            let isFlat = eventually {
                let now = Holdings.now()
                return now.descriptors < before.descriptors + 100
                    && now.threads < before.threads + 100
            }
            exit(isFlat ? 0 : 3)
        }
    }
}
