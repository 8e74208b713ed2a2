// SPDX-License-Identifier: Apache-2.0
// Tests of work queue metrics: items wait, run and leave, however they end.

import OutriderInstruments
import OutriderMetrics
import OutriderTesting
import Testing

private struct Failed: Error {}

@Suite struct WorkQueueTests {
    private let clock = ManualClock()
    private let registry: Registry
    private let labels = ["queue": "orders"]

    init() {
        registry = Registry(hasOwnMetrics: false, log: DiagnosticLog { _, _ in }, clock: clock)
    }

    @Test func `work waits, runs and leaves the queue`() async throws {
        let queue = WorkQueueMetrics("orders", capacity: 10, registry: registry)
        let first = queue.enqueued()
        let second = queue.enqueued()
        try registry.expect("work_queue_depth", labels, 2)
        try registry.expect("work_queue_capacity", labels, 10)
        clock.advance(by: .milliseconds(125))
        await first.run { () async in
            await Task.yield()
            #expect(registry.value("work_queue_active", labels) == 1)
            #expect(registry.value("work_queue_depth", labels) == 1)
            clock.advance(by: .milliseconds(250))
        }
        second.run {}
        try registry.expect("work_queue_depth", labels, 0)
        try registry.expect("work_queue_active", labels, 0)
        try registry.expect("work_queue_wait_seconds_sum", labels, 0.5)
        try registry.expect("work_queue_run_seconds_sum", labels, 0.25)
        try registry.expect("work_queue_run_seconds_count", labels, 2)
    }

    @Test func `failed work leaves nothing behind`() throws {
        let queue = WorkQueueMetrics("orders", registry: registry)
        #expect(throws: Failed.self) {
            try queue.enqueued().run { () throws(Failed) in throw Failed() }
        }
        try registry.expect("work_queue_active", labels, 0)
        try registry.expect("work_queue_depth", labels, 0)
        try registry.expect("work_queue_failures_total", labels, 1)
        #expect(registry.value("work_queue_capacity", labels) == nil)
    }

    @Test func `work that its caller cancels is not a failure`() async throws {
        let queue = WorkQueueMetrics("orders", registry: registry)
        await inCancelledTask {
            try await queue.enqueued().run { () async throws in throw GaveUp() }
        }
        try registry.expect("work_queue_failures_total", labels, 0)
        try registry.expect("work_queue_run_seconds_count", labels, 1)
    }

    @Test func `tickets that a stream drops or that are released with their queue are rejected`()
        async throws
    {
        let metrics = WorkQueueMetrics("orders", registry: registry)
        do {
            let (tickets, queue) = AsyncStream.makeStream(
                of: WorkQueueMetrics.Ticket.self, bufferingPolicy: .bufferingNewest(10))
            for _ in 0..<1_000 { queue.yield(metrics.enqueued()) }
            try registry.expect("work_queue_depth", labels, 10)
            for await ticket in tickets.prefix(3) { ticket.run {} }
            try registry.expect("work_queue_depth", labels, 7)
            withExtendedLifetime((tickets, queue)) {}
        }
        try registry.expect("work_queue_depth", labels, 0)
        try registry.expect("work_queue_rejected_total", labels, 997)
        try registry.expect("work_queue_run_seconds_count", labels, 3)
    }

    @Test func `running work that is not ended ends with its last reference`() throws {
        let queue = WorkQueueMetrics("orders", registry: registry)
        do {
            let batch = (0..<3).map { _ in queue.enqueued().begin() }
            try registry.expect("work_queue_active", labels, 3)
            batch.first?.fail()
            try registry.expect("work_queue_active", labels, 2)
            withExtendedLifetime(batch) {}
        }
        try registry.expect("work_queue_active", labels, 0)
        try registry.expect("work_queue_run_seconds_count", labels, 3)
        try registry.expect("work_queue_failures_total", labels, 1)
        try registry.expect("work_queue_rejected_total", labels, 0)
    }

    @Test func `only the first use of a ticket counts`() throws {
        let queue = WorkQueueMetrics("orders", registry: registry)
        do {
            let ticket = queue.enqueued()
            let running = ticket.begin()
            ticket.begin().end()
            ticket.run {}
            ticket.discard()
            try registry.expect("work_queue_active", labels, 1)
            running.end()
            running.end()
            running.fail()
            withExtendedLifetime(ticket) {}
        }
        for name in ["depth", "active", "rejected_total", "failures_total"] {
            try registry.expect("work_queue_\(name)", labels, 0)
        }
        try registry.expect("work_queue_wait_seconds_count", labels, 1)
        try registry.expect("work_queue_run_seconds_count", labels, 1)
    }

    @Test func `work that was refused or left the queue is rejected`() throws {
        let queue = WorkQueueMetrics("orders", registry: registry)
        queue.rejected()
        queue.enqueued().discard()
        try registry.expect("work_queue_rejected_total", labels, 2)
        try registry.expect("work_queue_depth", labels, 0)
        try registry.expect("work_queue_wait_seconds_count", labels, 0)
    }

    @Test func `a batch begins and ends together`() throws {
        let queue = WorkQueueMetrics("orders", registry: registry)
        let tickets = (0..<3).map { _ in queue.enqueued() }
        clock.advance(by: .milliseconds(125))
        let batch = tickets.map { $0.begin() }
        try registry.expect("work_queue_active", labels, 3)
        try registry.expect("work_queue_depth", labels, 0)
        clock.advance(by: .milliseconds(250))
        for work in batch { work.end() }
        try registry.expect("work_queue_active", labels, 0)
        try registry.expect("work_queue_wait_seconds_sum", labels, 0.375)
        try registry.expect("work_queue_run_seconds_sum", labels, 0.75)
    }

    @Test func `an exceeded deadline is counted separately from the work's result`() throws {
        let queue = WorkQueueMetrics("orders", registry: registry)
        try registry.expect("work_queue_deadline_exceeded_total", labels, 0)
        queue.enqueued().run { queue.deadlineExceeded() }
        try registry.expect("work_queue_deadline_exceeded_total", labels, 1)
        try registry.expect("work_queue_rejected_total", labels, 0)
    }

    @Test func `the consumer lag is exposed once it has been set`() throws {
        let queue = WorkQueueMetrics("orders", registry: registry)
        #expect(registry.value("consumer_lag_messages", labels) == nil)
        queue.setLag(messages: 4_711)
        queue.setLag(messages: 12)
        try registry.expect("consumer_lag_messages", labels, 12)
    }
}
