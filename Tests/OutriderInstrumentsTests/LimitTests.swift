// SPDX-License-Identifier: Apache-2.0
// Tests of the metrics of rate limiters, circuit breakers, broadcasts, object pools and shutdown.

import OutriderInstruments
import OutriderMetrics
import OutriderTesting
import Testing

private struct Failed: Error {}

@Suite struct LimitTests {
    private let clock = ManualClock()
    private let registry: Registry

    init() {
        registry = Registry(hasOwnMetrics: false, log: DiagnosticLog { _, _ in }, clock: clock)
    }

    @Test func `each request for a permit has one result`() throws {
        let limiter = RateLimiterMetrics("orders", registry: registry) { 17 }
        limiter.allowed()
        limiter.allowed(after: .milliseconds(50))
        limiter.limited()
        limiter.failed()
        for (result, count) in [("allowed", 2.0), ("limited", 1), ("error", 1)] {
            try registry.expect(
                "rate_limiter_requests_total", ["limiter": "orders", "result": result], count)
        }
        try registry.expect("rate_limiter_permits", ["limiter": "orders"], 17)
        try registry.expect("rate_limiter_wait_seconds_sum", ["limiter": "orders"], 0.05)
        withExtendedLifetime(limiter) {}
    }

    @Test func `a circuit breaker is in one state at a time`() async throws {
        let breaker = CircuitBreakerMetrics("payments", registry: registry)
        func states() -> [Double?] {
            ["closed", "open", "half_open"].map {
                registry.value("circuit_breaker_state", ["breaker": "payments", "state": $0])
            }
        }
        #expect(states() == [1, 0, 0])
        breaker.move(to: .open)
        #expect(states() == [0, 1, 0])
        breaker.move(to: .halfOpen)
        #expect(states() == [0, 0, 1])
        await breaker.call {}
        await #expect(throws: Failed.self) {
            try await breaker.call { () async throws(Failed) in throw Failed() }
        }
        breaker.succeeded()
        breaker.failed()
        breaker.rejected()
        for (result, count) in [("success", 2.0), ("failure", 2), ("rejected", 1)] {
            try registry.expect(
                "circuit_breaker_calls_total", ["breaker": "payments", "result": result], count)
        }
    }

    @Test func `calls that their callers cancel are neither successes nor failures`() async throws {
        let breaker = CircuitBreakerMetrics("payments", registry: registry)
        for _ in 0..<50 {
            await inCancelledTask { try await breaker.call { try Task.checkCancellation() } }
        }
        await inCancelledTask { try await breaker.call { throw GaveUp() } }
        // Part of the call was cancelled, but not its caller.
        await #expect(throws: CancellationError.self) {
            try await breaker.call { throw CancellationError() }
        }
        breaker.cancelled()
        for (result, count) in [("cancelled", 53.0), ("failure", 0), ("success", 0)] {
            try registry.expect(
                "circuit_breaker_calls_total", ["breaker": "payments", "result": result], count)
        }
    }

    @Test func `the wait for a permit is recorded, whatever the result`() throws {
        let limiter = RateLimiterMetrics("orders", registry: registry)
        limiter.limited(after: .milliseconds(250))
        limiter.cancelled(after: .milliseconds(500))
        for (result, count) in [("limited", 1.0), ("cancelled", 1), ("allowed", 0), ("error", 0)] {
            try registry.expect(
                "rate_limiter_requests_total", ["limiter": "orders", "result": result], count)
        }
        try registry.expect("rate_limiter_wait_seconds_sum", ["limiter": "orders"], 0.75)
    }

    @Test func `subscribers are counted until they end or are released`() throws {
        let fanout = FanoutMetrics("chat", registry: registry)
        let first = fanout.subscribe()
        var second: FanoutMetrics.Subscription? = fanout.subscribe()
        try registry.expect("fanout_subscribers", ["fanout": "chat"], 2)
        first.end()
        first.end()
        withExtendedLifetime(second) {}
        second = nil
        try registry.expect("fanout_subscribers", ["fanout": "chat"], 0)
        let third = fanout.subscribe()
        third.end(.slowConsumer)
        third.end()
        let ended = "fanout_subscriptions_ended_total"
        try registry.expect(ended, ["fanout": "chat", "reason": "closed"], 2)
        try registry.expect(ended, ["fanout": "chat", "reason": "slow_consumer"], 1)
        try registry.expect("fanout_subscribers", ["fanout": "chat"], 0)
        fanout.delivered(10)
        fanout.dropped(.slowConsumer, count: 2)
        fanout.dropped(.closed)
        for (result, count) in [("delivered", 10.0), ("slow_consumer", 2), ("closed", 1)] {
            try registry.expect(
                "fanout_messages_total", ["fanout": "chat", "result": result], count)
        }
    }

    @Test func `objects are counted as reused or new`() throws {
        let metrics = ObjectPoolMetrics("buffers", registry: registry)
        var pool = [1]
        #expect(metrics.get({ pool.popLast() }, orMake: { 2 }) == 1)
        #expect(metrics.get({ pool.popLast() }, orMake: { 2 }) == 2)
        metrics.reused()
        metrics.made()
        for result in ["reused", "new"] {
            try registry.expect("object_pool_gets_total", ["pool": "buffers", "result": result], 2)
        }
    }

    @Test func `an object that could not be created is not counted`() throws {
        let metrics = ObjectPoolMetrics("buffers", registry: registry)
        #expect(throws: Failed.self) {
            try metrics.get({ () throws(Failed) -> Int? in nil }, orMake: { throw Failed() })
        }
        try registry.expect("object_pool_gets_total", ["pool": "buffers", "result": "new"], 0)
    }

    @Test func `a shutting-down service reports its duration and the remaining work`() throws {
        let drain = DrainMetrics(registry: registry)
        drain.watch("orders") { 3 }
        try registry.expect("service_drain_seconds", 0)
        try registry.expect("service_drain_remaining", ["what": "orders"], 3)
        try registry.expect("service_drain_abandoned_total", ["what": "orders"], 0)
        drain.begin()
        clock.advance(by: .seconds(2))
        drain.begin()
        clock.advance(by: .seconds(3))
        try registry.expect("service_drain_seconds", 5)
        drain.abandoned("orders", count: 2)
        try registry.expect("service_drain_abandoned_total", ["what": "orders"], 2)
    }
}
