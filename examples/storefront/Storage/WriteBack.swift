// SPDX-License-Identifier: Apache-2.0
// Copies orders from the database to the second cache level, after the response.

import OutriderInstruments
import ServiceLifecycle
import Synchronization

final class WriteBack: Service {
    private struct Item: Sendable {
        let order: Order
        let ticket: WorkQueueMetrics.Ticket
    }

    private static let capacity = 1_000
    private static let cacheSeconds = 60

    private let shared: any SharedState
    private let (items, incoming) = AsyncStream.makeStream(
        of: Item.self, bufferingPolicy: .bufferingOldest(WriteBack.capacity))
    private let metrics = WorkQueueMetrics("write-back", capacity: WriteBack.capacity)
    private let waiting = Atomic<Int>(0)

    init(_ shared: any SharedState) { self.shared = shared }

    /// Orders that are waiting to be cached.
    var count: Int { waiting.load(ordering: .relaxed) }

    /// Queues an order to be cached; skips it if the queue is full, which does no harm.
    func cache(_ order: Order) {
        let item = Item(order: order, ticket: metrics.enqueued())
        waiting.wrappingAdd(1, ordering: .relaxed)
        switch incoming.yield(item) {
        case .enqueued: break
        default:
            waiting.wrappingSubtract(1, ordering: .relaxed)
            item.ticket.discard()
        }
    }

    /// Works until the group shuts down, and then finishes the queue.
    func run() async {
        await withGracefulShutdownHandler {
            for await item in items {
                waiting.wrappingSubtract(1, ordering: .relaxed)
                try? await item.ticket.run {
                    try await shared.cache(
                        item.order.cacheText(), as: Order.key(item.order.id),
                        seconds: Self.cacheSeconds)
                }
            }
        } onGracefulShutdown: {
            self.incoming.finish()
        }
    }
}
