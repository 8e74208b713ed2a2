// SPDX-License-Identifier: Apache-2.0
// Tests of the instrumented lock: it excludes, and only contended acquisitions are counted.

import Dispatch
import OutriderInstruments
import OutriderMetrics
import OutriderTesting
import TestSupport
import Testing

/// A manual clock that signals when it is read, which a contended acquisition does first.
private final class WatchedClock: MetricClock {
    private let clock = ManualClock()
    private let reads = DispatchSemaphore(value: 0)

    var uptime: Duration {
        defer { reads.signal() }
        return clock.uptime
    }

    var secondsSinceEpoch: Double { clock.secondsSinceEpoch }

    func advance(by duration: Duration) { clock.advance(by: duration) }

    /// Runs `body`, then waits until the clock has been read since its start.
    func isRead(after body: () -> Void) -> Bool {
        while reads.wait(timeout: .now()) == .success { continue }
        body()
        return reads.wait(timeout: .now() + 120) == .success
    }
}

@Suite struct LockConcurrencyTests {
    private let clock = WatchedClock()
    private let registry: Registry

    init() {
        registry = Registry(hasOwnMetrics: false, log: DiagnosticLog { _, _ in }, clock: clock)
    }

    private final class Shared: Sendable {
        let lock: InstrumentedLock<Int>
        init(_ registry: Registry) { lock = InstrumentedLock("stock", 0, registry: registry) }
    }

    @Test func `concurrent updates under the lock are all kept`() async {
        let shared = Shared(registry)
        await withTaskGroup { group in
            for _ in 0..<4 {
                group.addTask { for _ in 0..<10_000 { shared.lock.withLock { $0 += 1 } } }
            }
        }
        #expect(shared.lock.withLock { $0 } == 40_000)
    }

    @Test func `an uncontended acquisition is not counted`() throws {
        let shared = Shared(registry)
        for _ in 0..<100 { shared.lock.withLock { $0 += 1 } }
        try registry.expect("lock_contentions_total", ["lock": "stock"], 0)
        try registry.expect("lock_wait_seconds_total", ["lock": "stock"], 0)
    }

    @Test func `a contended acquisition is counted, with its wait`() async throws {
        let (clock, shared) = (clock, Shared(registry))
        let isHeld = DispatchSemaphore(value: 0)
        // The holder keeps the lock until the waiter has found it locked, and three seconds longer.
        async let holder = onOwnThread {
            shared.lock.withLock { _ in
                let isWaitedFor = clock.isRead { isHeld.signal() }
                clock.advance(by: .seconds(3))
                return isWaitedFor
            }
        }
        async let waiter: Void = onOwnThread {
            isHeld.wait()
            shared.lock.withLock { $0 += 1 }
        }
        let isWaitedFor = try await holder
        try await waiter
        #expect(isWaitedFor)
        #expect(shared.lock.withLock { $0 } == 1)
        try registry.expect("lock_contentions_total", ["lock": "stock"], 1)
        try registry.expect("lock_wait_seconds_total", ["lock": "stock"], 3)
    }

    @Test func `an error is rethrown, and the lock is released`() throws {
        struct Failed: Error {}
        let shared = Shared(registry)
        #expect(throws: Failed.self) {
            try shared.lock.withLock { _ throws(Failed) in throw Failed() }
        }
        #expect(shared.lock.withLock { $0 } == 0)
    }
}
