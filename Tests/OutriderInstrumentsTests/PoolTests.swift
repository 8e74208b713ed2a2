// SPDX-License-Identifier: Apache-2.0
// Tests of connection pool metrics: connections, pending requests, and wait times.

import OutriderInstruments
import OutriderMetrics
import OutriderTesting
import Testing

private struct Timeout: Error {}
private struct Refused: Error {}

@Suite struct PoolTests {
    private let clock = ManualClock()
    private let registry: Registry
    private let orders = ["db_client_connection_pool_name": "orders"]

    init() {
        registry = Registry(hasOwnMetrics: false, log: DiagnosticLog { _, _ in }, clock: clock)
    }

    @Test func `a pool is read at each scrape`() throws {
        let pool = PoolMetrics("orders", registry: registry) {
            .init(idle: 3, used: 7, max: 10, pending: 2)
        }
        try registry.expect(
            "db_client_connection_count", orders.merging(["state": "idle"]) { $1 }, 3)
        try registry.expect(
            "db_client_connection_count", orders.merging(["state": "used"]) { $1 }, 7)
        try registry.expect("db_client_connection_max", orders, 10)
        try registry.expect("db_client_connection_pending_requests", orders, 2)
        withExtendedLifetime(pool) {}
    }

    @Test func `a value that a pool does not report is absent, and so is a released pool`() throws {
        var pool: PoolMetrics? = PoolMetrics("orders", registry: registry) {
            .init(idle: 1, used: 0)
        }
        let other = PoolMetrics("other", registry: registry) { nil }
        #expect(registry.value("db_client_connection_max", orders) == nil)
        let idle = orders.merging(["state": "idle"]) { $1 }
        try registry.expect("db_client_connection_count", idle, 1)
        withExtendedLifetime(pool) {}
        pool = nil
        #expect(registry.value("db_client_connection_count", idle) == nil)
        withExtendedLifetime(other) {}
    }

    @Test func `acquiring, using and creating a connection are timed`() async throws {
        let pool = PoolMetrics("orders", registry: registry)
        let connection = try await pool.acquire {
            clock.advance(by: .milliseconds(20))
            return 1
        }
        #expect(connection == 1)
        await pool.use { clock.advance(by: .milliseconds(300)) }
        await pool.create { clock.advance(by: .seconds(2)) }
        pool.recordWait(.milliseconds(30))
        pool.recordUse(.milliseconds(200))
        pool.recordCreation(.seconds(1))
        for (name, sum) in [("wait", 0.05), ("use", 0.5), ("create", 3)] {
            try registry.expect("db_client_connection_\(name)_time_seconds_count", orders, 2)
            try registry.expect("db_client_connection_\(name)_time_seconds_sum", orders, sum)
        }
    }

    @Test func `a timeout is counted as a timeout and not as a wait`() async throws {
        let pool = PoolMetrics("orders", registry: registry)
        let isTimeout = { (error: any Error) in error is Timeout }
        await #expect(throws: Timeout.self) {
            try await pool.acquire(isTimeout: isTimeout) { throw Timeout() }
        }
        await #expect(throws: Refused.self) {
            try await pool.acquire(isTimeout: isTimeout) { throw Refused() }
        }
        pool.recordTimeout()
        try registry.expect("db_client_connection_timeouts_total", orders, 2)
        try registry.expect("db_client_connection_wait_time_seconds_count", orders, 0)
        try expectRequests(["success": 0, "timeout": 2, "failure": 1, "cancelled": 0])
    }

    @Test func `without isTimeout, timeouts of an exhausted pool count as waits and as failures`()
        async throws
    {
        let pool = PoolMetrics("orders", registry: registry)
        let clock = clock
        for _ in 0..<100 {
            await #expect(throws: Timeout.self) {
                try await pool.acquire {
                    clock.advance(by: .seconds(5))
                    throw Timeout()
                }
            }
        }
        try registry.expect("db_client_connection_wait_time_seconds_count", orders, 100)
        try registry.expect("db_client_connection_wait_time_seconds_sum", orders, 500)
        try expectRequests(["success": 0, "timeout": 0, "failure": 100, "cancelled": 0])
    }

    @Test(arguments: [false, true])
    func `a cancelled request has waited, and is not a failure of the pool`(
        knowsTimeouts: Bool
    ) async throws {
        let pool = PoolMetrics("orders", registry: registry)
        let clock = clock
        for _ in 0..<100 {
            await inCancelledTask {
                let lease: @Sendable () async throws -> Void = {
                    clock.advance(by: .seconds(5))
                    throw GaveUp()
                }
                if knowsTimeouts {
                    try await pool.acquire(isTimeout: { $0 is Timeout }, lease)
                } else {
                    try await pool.acquire(lease)
                }
            }
        }
        pool.recordCancellation(after: .seconds(5))
        try registry.expect("db_client_connection_wait_time_seconds_sum", orders, 505)
        try registry.expect("db_client_connection_timeouts_total", orders, 0)
        try expectRequests(["success": 0, "timeout": 0, "failure": 0, "cancelled": 101])
    }

    @Test func `a connection that could not be created is a failure and is not timed`() async throws
    {
        let pool = PoolMetrics("orders", registry: registry)
        await #expect(throws: Refused.self) {
            try await pool.create { () async throws(Refused) in throw Refused() }
        }
        await inCancelledTask { try await pool.create { throw GaveUp() } }
        pool.recordCreationFailure()
        try registry.expect("db_client_connection_create_failures_total", orders, 2)
        try registry.expect("db_client_connection_create_time_seconds_count", orders, 0)
    }

    private func expectRequests(_ counts: [String: Double]) throws {
        for (result, count) in counts {
            try registry.expect(
                "db_client_connection_requests_total", orders.merging(["result": result]) { $1 },
                count)
        }
    }
}
