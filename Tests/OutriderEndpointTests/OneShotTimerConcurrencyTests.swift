// SPDX-License-Identifier: Apache-2.0
// Tests of the one-shot timer: it fires once, not early, and for the deadline set last.

import OutriderThreading
import TestSupport
import Testing

@Suite struct OneShotTimerConcurrencyTests {
    @Test func `it fires once, and not before its deadline`() {
        let timer = OneShotTimer(named: "alarm")
        let rings = Guarded([ContinuousClock.Instant]())
        let isOver = Latch()
        let moment = ContinuousClock.now + .milliseconds(20)
        timer.set(for: moment) {
            rings.withLock { $0.append(.now) }
            isOver.open()
        }
        #expect(isOver.wait(for: .seconds(60)))
        #expect(rings.withLock { $0.count } == 1)
        #expect(rings.withLock { $0.allSatisfy { $0 >= moment } })
    }

    @Test func `it fires at its deadline on the given clock`() {
        let time = ManualTime()
        let timer = OneShotTimer(named: "alarm", time: time)
        let isOver = Latch()
        timer.set(for: time.now + .seconds(3_600)) { isOver.open() }
        #expect(time.awaitWaiter(in: .seconds(3_600)))
        time.advance(by: .seconds(3_599))
        #expect(time.awaitWaiter(in: .seconds(1)))
        #expect(!isOver.isOpen)
        time.advance(by: .seconds(1))
        #expect(isOver.wait(for: .seconds(60)))
    }

    @Test(arguments: [-1, 0, 1])
    func `a deadline in the past fires immediately`(milliseconds: Int) {
        let timer = OneShotTimer(named: "alarm")
        let isOver = Latch()
        timer.set(for: .now + .milliseconds(milliseconds)) { isOver.open() }
        #expect(isOver.wait(for: .seconds(60)))
    }

    @Test func `an earlier deadline does not wait for the one set before`() {
        let timer = OneShotTimer(named: "alarm")
        let (isLate, isOver) = (Latch(), Latch())
        timer.set(for: .now + .seconds(3_600)) { isLate.open() }
        timer.set(for: .now) { isOver.open() }
        #expect(isOver.wait(for: .seconds(60)))
        #expect(!isLate.wait(for: .zero))
    }

    @Test func `the action may set the timer again`() {
        let timer = OneShotTimer(named: "alarm")
        let count = Guarded(0)
        let isOver = Latch()
        @Sendable func action() {
            let isLast = count.withLock { count in
                count += 1
                return count == 100
            }
            if isLast { isOver.open() } else { timer.set(for: .now, action) }
        }
        timer.set(for: .now, action)
        #expect(isOver.wait(for: .seconds(60)))
    }

    @Test func `cancelling releases the action`() {
        final class Held: Sendable {
            let end: Latch
            init(_ end: Latch) { self.end = end }
            deinit { end.open() }
        }
        let timer = OneShotTimer(named: "alarm")
        let isFree = Latch()
        do {
            let held = Held(isFree)
            timer.set(for: .now + .seconds(3_600)) { _ = held }
        }
        timer.cancel()
        #expect(isFree.wait(for: .seconds(60)))
    }

    @Test func `after concurrent calls from many threads, the deadline set last wins`() async {
        let timer = OneShotTimer(named: "alarm")
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for step in 0..<200 {
                        timer.set(for: .now + .milliseconds(step % 3)) {}
                        if step % 7 == 0 { timer.cancel() }
                    }
                }
            }
        }
        let isOver = Latch()
        timer.set(for: .now) { isOver.open() }
        #expect(isOver.wait(for: .seconds(60)))
    }
}
