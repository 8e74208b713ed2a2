// SPDX-License-Identifier: Apache-2.0
// Tests of the manual clock, which moves only when a test advances it.

import OutriderMetrics
import OutriderTesting
import Testing

@Suite struct ManualClockTests {
    @Test func `a clock shows its initial times and does not move`() {
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

    @Test func `wall time may jump back without affecting uptime`() {
        let clock = ManualClock(secondsSinceEpoch: 1000)
        clock.advance(by: .seconds(1))
        clock.secondsSinceEpoch = 500
        clock.advance(by: .seconds(1))
        #expect(clock.uptime == .seconds(2))
        #expect(clock.secondsSinceEpoch == 501)
    }

    @Test func `a clock never goes back and never traps`() {
        let clock = ManualClock(uptime: .seconds(5), secondsSinceEpoch: 1000)
        clock.advance(by: .seconds(-1))
        #expect(clock.uptime == .seconds(5))
        #expect(clock.secondsSinceEpoch == 1000)
        clock.advance(by: Duration(attoseconds: .max))
        #expect(clock.uptime == Duration(attoseconds: .max))
    }
}

@Suite struct ManualClockConcurrencyTests {
    @Test func `many threads may advance a clock`() async {
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
