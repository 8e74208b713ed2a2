// SPDX-License-Identifier: Apache-2.0
// The clock of a test moves when it is told to, and at no other time.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct ManualClockTests {
    @Test func `it shows what it was given and stands still`() {
        let clock: any MetricClock = ManualClock(uptime: .seconds(5), secondsSinceEpoch: 1000.5)
        #expect(clock.uptime == .seconds(5))
        #expect(clock.secondsSinceEpoch == 1000.5)
        #expect(clock.uptime == .seconds(5))
    }

    @Test func `an advance moves both times`() {
        let clock = ManualClock(secondsSinceEpoch: 1000)
        clock.advance(by: .milliseconds(1500))
        clock.advance(by: .seconds(2))
        #expect(clock.uptime == .milliseconds(3500))
        #expect(clock.secondsSinceEpoch == 1003.5)
    }

    @Test func `wall time may jump back and uptime does not notice`() {
        let clock = ManualClock(secondsSinceEpoch: 1000)
        clock.advance(by: .seconds(1))
        clock.secondsSinceEpoch = 500
        clock.advance(by: .seconds(1))
        #expect(clock.uptime == .seconds(2))
        #expect(clock.secondsSinceEpoch == 501)
    }

    @Test func `it never goes back and never ends the process`() {
        let clock = ManualClock(uptime: .seconds(5), secondsSinceEpoch: 1000)
        clock.advance(by: .seconds(-1))
        #expect(clock.uptime == .seconds(5))
        #expect(clock.secondsSinceEpoch == 1000)
        clock.advance(by: Duration(attoseconds: .max))
        #expect(clock.uptime == Duration(attoseconds: .max))
    }
}

@Suite struct ManualClockConcurrencyTests {
    @Test func `many threads may move it`() async {
        let clock = ManualClock(secondsSinceEpoch: 0)
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<1000 { clock.advance(by: .seconds(1)) }
                }
            }
        }
        #expect(clock.uptime == .seconds(8000))
        #expect(clock.secondsSinceEpoch == 8000)
    }
}
