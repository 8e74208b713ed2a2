// SPDX-License-Identifier: Apache-2.0
// The operations of the shop: look up, place and cancel orders.

import Foundation
import Outrider
import OutriderInstruments

struct OrderDesk: Sendable {
    /// The customer exceeds the rate limit.
    struct Limited: Error {}
    /// Another request holds the stock lock for too long, or the lock service failed.
    struct StockBusy: Error {}

    let cache: OrderCache
    let shared: any SharedState
    let store: OrderStore
    let batches: BatchWriter
    let writeBack: WriteBack
    let rateLimit: Int
    let fault: Fault?

    private let level2 = CacheMetrics("orders", level: "2")
    private let limiter = RateLimiterMetrics("orders")
    private let stockLocks = Registry.shared.counter(
        "storefront_stock_locks_total", help: "Attempts to lock the stock of an item, by result.",
        labels: ["result"])
    private let placed = Registry.shared.counter(
        "storefront_orders_total", help: "Orders placed.", labels: ["item"])

    init(
        cache: OrderCache, shared: any SharedState, store: OrderStore, batches: BatchWriter,
        writeBack: WriteBack, settings: Settings
    ) {
        self.cache = cache
        self.shared = shared
        self.store = store
        self.batches = batches
        self.writeBack = writeBack
        rateLimit = settings.rateLimit
        fault = settings.fault
    }

    /// The level 1 result for an order; needs no worker.
    func known(_ id: Int) -> OrderCache.Known? {
        fault?.strikeLookUp()
        return cache.find(Order.key(id))
    }

    /// Loads an order that level 1 does not have: from level 2, else from the database.
    func load(_ id: Int) async throws -> Order? {
        let key = Order.key(id)
        if let order = await cachedAtLevel2(key) {
            cache.put(.order(order), as: key)
            return order
        }
        let order = try await level2.load { try await store.order(id) }
        cache.put(order.map { .order($0) } ?? .nothing, as: key)
        if let order { writeBack.cache(order) }
        return order
    }

    /// Returns nil if level 2 fails: the database has everything.
    private func cachedAtLevel2(_ key: String) async -> Order? {
        try? await level2.lookUp {
            guard let text = try await shared.cached(key) else { return nil }
            return try Order(cacheText: text)
        }
    }

    /// Checks whether a customer may place an order now; throws ``Limited`` if not.
    ///
    /// If the limiter fails, the order is admitted: the sale goes on.
    func admit(_ customer: String) async throws {
        let isAllowed: Bool
        do {
            isAllowed = try await shared.permit(customer, limit: rateLimit)
        } catch {
            return limiter.failed()
        }
        guard isAllowed else {
            limiter.limited()
            throw Limited()
        }
        limiter.allowed()
    }

    /// Places an order; when it returns, the order is in the database.
    func place(item: String, quantity: Int, customer: String) async throws -> Order {
        try await withStockLocked(item) { try await store.take(quantity, of: item) }
        let order = Order(
            id: OrderNumbers.next(), item: item, customer: customer, quantity: quantity)
        do {
            try await batches.insert(order)
        } catch {
            try? await store.give(quantity, of: item)
            throw error
        }
        placed.with(item).increment()
        // A client may have looked the order up before it existed.
        try? await shared.invalidate(Order.key(order.id))
        return order
    }

    /// Cancels an order, here and in the caches of all instances; nil if it is not in the state
    /// `placed`.
    func cancel(_ id: Int) async throws -> Order? {
        let order = try await store.cancel(id)
        cache.invalidate(Order.key(id))
        try? await shared.invalidate(Order.key(id))
        return order
    }

    /// Changes the stock of an item while no other request does.
    ///
    /// The lock expires soon, in case this process ends; only its owner can release it.
    private func withStockLocked(
        _ item: String, _ body: @Sendable () async throws -> Void
    ) async throws {
        let owner = UUID().uuidString
        for _ in 0..<20 {
            let isOurs: Bool
            do {
                isOurs = try await shared.lock(item, owner: owner, milliseconds: 2_000)
            } catch {
                stockLocks.with("error").increment()
                throw StockBusy()
            }
            if isOurs {
                stockLocks.with("locked").increment()
                let result = await Result { try await body() }
                await unlock(item, owner: owner)
                return try result.get()
            }
            try await Task.sleep(for: .milliseconds(1))
        }
        stockLocks.with("busy").increment()
        throw StockBusy()
    }

    /// Releases a lock, even if the task was cancelled at its deadline: otherwise the stock would
    /// stay locked until the lock expires.
    private func unlock(_ item: String, owner: String) async {
        let isReleased = await Task {
            for _ in 0..<4 {
                if let released = try? await shared.unlock(item, owner: owner) { return released }
                try await Task.sleep(for: .milliseconds(50))
            }
            return false
        }.result
        if (try? isReleased.get()) != true { stockLocks.with("lost").increment() }
    }
}

extension Result where Failure == any Error {
    /// The result or error of an asynchronous body.
    fileprivate init(_ body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
