// SPDX-License-Identifier: Apache-2.0
// Writes new orders in batches: one transaction for all that arrive within a few milliseconds.

import Outrider
import OutriderInstruments
import ServiceLifecycle
import Synchronization

final class BatchWriter: Service {
    /// Too many orders are waiting to be written.
    struct Full: Error {}

    private struct Waiting {
        let order: Order
        let ticket: WorkQueueMetrics.Ticket
        let written: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var waiting: [Waiting] = []
        var isOpen = true
    }

    private static let capacity = 5_000
    private static let batchLimit = 200

    private let store: OrderStore
    private let state = Mutex(State())
    private let (arrivals, arrived) = AsyncStream.makeStream(
        of: Void.self, bufferingPolicy: .bufferingNewest(1))
    private let metrics = WorkQueueMetrics("order-batches", capacity: BatchWriter.capacity)
    private let sizes = Registry.shared.histogram(
        "storefront_batch_orders", help: "Orders written in one transaction.",
        buckets: .exponential(start: 1, factor: 2, count: 9))

    init(_ store: OrderStore) { self.store = store }

    /// Orders that are waiting to be written.
    var count: Int { state.withLock { $0.waiting.count } }

    /// Writes an order; returns when it is in the database.
    func insert(_ order: Order) async throws {
        try await withCheckedThrowingContinuation { continuation in
            let isTaken = state.withLock { state in
                guard state.isOpen, state.waiting.count < Self.capacity else { return false }
                state.waiting.append(
                    Waiting(order: order, ticket: metrics.enqueued(), written: continuation))
                return true
            }
            if isTaken {
                arrived.yield()
            } else {
                metrics.rejected()
                continuation.resume(throwing: Full())
            }
        }
    }

    /// Writes until the group shuts down, and then writes the rest.
    func run() async {
        await withGracefulShutdownHandler {
            for await _ in arrivals {
                await writeAll()
                // So that the next orders form a batch.
                try? await Task.sleep(for: .milliseconds(2))
            }
        } onGracefulShutdown: {
            self.arrived.finish()
        }
        state.withLock { $0.isOpen = false }
        await writeAll()
    }

    private func writeAll() async {
        while true {
            let batch = state.withLock { state in
                defer { state.waiting.removeFirst(min(Self.batchLimit, state.waiting.count)) }
                return Array(state.waiting.prefix(Self.batchLimit))
            }
            if batch.isEmpty { return }
            sizes.observe(Double(batch.count))
            let running = batch.map { $0.ticket.begin() }
            defer { for one in running { one.end() } }
            do {
                try await store.insert(batch.map(\.order))
                for one in batch { one.written.resume() }
            } catch {
                for one in batch { one.written.resume(throwing: error) }
            }
        }
    }
}
