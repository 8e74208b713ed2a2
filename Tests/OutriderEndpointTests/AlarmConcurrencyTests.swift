// SPDX-License-Identifier: Apache-2.0
// An alarm rings once, not before its moment, and for the moment that was set last.

import OutriderThreading
import TestSupport
import Testing

@Suite struct AlarmConcurrencyTests {
    @Test func `it rings once, and not before its moment`() {
        let alarm = Alarm(named: "alarm")
        let rings = Guarded([ContinuousClock.Instant]())
        let isOver = Latch()
        let moment = ContinuousClock.now + .milliseconds(20)
        alarm.set(for: moment) {
            rings.withLock { $0.append(.now) }
            isOver.open()
        }
        #expect(isOver.wait(for: .seconds(60)))
        #expect(rings.withLock { $0.count } == 1)
        #expect(rings.withLock { $0.allSatisfy { $0 >= moment } })
    }

    @Test func `it fires when its moment has come, by whatever clock it has`() {
        let time = ManualTime()
        let alarm = Alarm(named: "alarm", time: time)
        let isOver = Latch()
        alarm.set(for: time.now + .seconds(3_600)) { isOver.open() }
        #expect(time.awaitWaiter(in: .seconds(3_600)))
        time.advance(by: .seconds(3_599))
        #expect(time.awaitWaiter(in: .seconds(1)))
        #expect(!isOver.isOpen)
        time.advance(by: .seconds(1))
        #expect(isOver.wait(for: .seconds(60)))
    }

    @Test(arguments: [-1, 0, 1])
    func `a moment that is over is now`(milliseconds: Int) {
        let alarm = Alarm(named: "alarm")
        let isOver = Latch()
        alarm.set(for: .now + .milliseconds(milliseconds)) { isOver.open() }
        #expect(isOver.wait(for: .seconds(60)))
    }

    @Test func `an earlier moment does not wait for the one before`() {
        let alarm = Alarm(named: "alarm")
        let (isLate, isOver) = (Latch(), Latch())
        alarm.set(for: .now + .seconds(3_600)) { isLate.open() }
        alarm.set(for: .now) { isOver.open() }
        #expect(isOver.wait(for: .seconds(60)))
        #expect(!isLate.wait(for: .zero))
    }

    @Test func `what rings may set it again`() {
        let alarm = Alarm(named: "alarm")
        let count = Guarded(0)
        let isOver = Latch()
        @Sendable func ring() {
            let isLast = count.withLock { count in
                count += 1
                return count == 100
            }
            if isLast { isOver.open() } else { alarm.set(for: .now, ring) }
        }
        alarm.set(for: .now, ring)
        #expect(isOver.wait(for: .seconds(60)))
    }

    @Test func `turned off it lets go of what it would have done`() {
        final class Held: Sendable {
            let end: Latch
            init(_ end: Latch) { self.end = end }
            deinit { end.open() }
        }
        let alarm = Alarm(named: "alarm")
        let isFree = Latch()
        do {
            let held = Held(isFree)
            alarm.set(for: .now + .seconds(3_600)) { _ = held }
        }
        alarm.turnOff()
        #expect(isFree.wait(for: .seconds(60)))
    }

    @Test func `of many who set it at once the last one is heard`() async {
        let alarm = Alarm(named: "alarm")
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for step in 0..<200 {
                        alarm.set(for: .now + .milliseconds(step % 3)) {}
                        if step % 7 == 0 { alarm.turnOff() }
                    }
                }
            }
        }
        let isOver = Latch()
        alarm.set(for: .now) { isOver.open() }
        #expect(isOver.wait(for: .seconds(60)))
    }
}
