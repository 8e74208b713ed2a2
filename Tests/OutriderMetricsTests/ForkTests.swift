// SPDX-License-Identifier: Apache-2.0
// A fork of the service's waits for locks of ours, but not for ever.

import OutriderThreading
import TestSupport
import TestTraits
import Testing

@Suite(.blocking) struct ForkTests {
    @Test func `a fork goes on while a lock of ours is held, and its child ends`() {
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
        // It has not waited for the lock, which is still held.
        mayEnd.open()
        #expect(hasEnded.wait(for: .seconds(600)))
    }
}
