// SPDX-License-Identifier: Apache-2.0
// Tests of fork(2) in the service: it waits for the library's locks, but not forever.

import OutriderThreading
import TestSupport
import TestTraits
import Testing

@Suite(.blocking) struct ForkTests {
    @Test func `a fork completes while a lock is held, and its child exits`() {
        let value = Guarded(0)
        let isHeld = Latch()
        let mayEnd = Latch()
        let hasEnded = Latch()
        let hasStarted = DetachedThread.start {
            value.withLock { _ in
                isHeld.open()
                _ = mayEnd.wait(for: .seconds(600))
            }
            hasEnded.open()
        }
        #expect(hasStarted)
        #expect(isHeld.wait(for: .seconds(600)))
        #expect(inForkedChild {} == 0)
        // The fork has not waited for the lock, which is still held.
        mayEnd.open()
        #expect(hasEnded.wait(for: .seconds(600)))
    }
}
