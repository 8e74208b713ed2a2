// SPDX-License-Identifier: Apache-2.0
// The routes of the shop, and the status of each refusal.

import Hummingbird
import Outrider
import OutriderHummingbird

struct OrderRoutes: Sendable {
    let desk: OrderDesk
    let workers: WorkerPool
    let drain: Drain

    func router(recorder: HTTPRequestRecorder) -> Router<BasicRequestContext> {
        let router = Router()
        router.add(middleware: OutriderMiddleware(recorder))
        router.get("healthz") { _, _ in "ok\n" }
        router.get("readyz") { _, _ -> Response in
            drain.hasBegun ? answer("draining\n", .serviceUnavailable) : answer("ready\n")
        }
        router.get("orders/{id}") { _, context in
            let id = try context.parameters.require("id", as: Int.self)
            return try await refusing { try await find(id) }
        }
        router.post("orders") { request, _ in
            let order = try NewOrder(request)
            let placed = try await refusing { try await place(order) }
            return EditedResponse(status: .created, response: placed)
        }
        router.delete("orders/{id}") { _, context in
            let id = try context.parameters.require("id", as: Int.self)
            return try await refusing {
                guard let order = try await workers.run({ try await desk.cancel(id) }) else {
                    throw HTTPError(.notFound, message: "no such order")
                }
                return order
            }
        }
        return router
    }

    private func find(_ id: Int) async throws -> Order {
        switch desk.known(id) {
        case .order(let order): return order
        case .nothing: break
        case nil:
            if let order = try await workers.run({ try await desk.load(id) }) { return order }
        }
        throw HTTPError(.notFound, message: "no such order")
    }

    private func place(_ new: NewOrder) async throws -> Order {
        try await desk.admit(new.customer)
        return try await workers.run {
            try await desk.place(
                item: new.item, quantity: new.quantity, customer: new.customer)
        }
    }

    /// Maps each refusal to its status.
    private func refusing<Value: Sendable>(
        _ body: () async throws -> Value
    ) async throws -> Value {
        do {
            return try await body()
        } catch is OrderDesk.Limited {
            throw HTTPError(
                .tooManyRequests, headers: [.retryAfter: "1"], message: "too many requests")
        } catch is WorkerPool.DeadlineExceeded {
            throw HTTPError(.gatewayTimeout, message: "timed out")
        } catch is OrderStore.SoldOut {
            throw HTTPError(.conflict, message: "sold out")
        } catch is OrderDesk.StockBusy {
            throw HTTPError(
                .serviceUnavailable, headers: [.retryAfter: "1"], message: "the item is locked")
        } catch is WorkerPool.Full, is BatchWriter.Full, is Permits.TimedOut {
            throw HTTPError(
                .serviceUnavailable, headers: [.retryAfter: "1"], message: "overloaded")
        }
    }

    private func answer(_ text: String, _ status: HTTPResponse.Status = .ok) -> Response {
        Response(status: status, body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}

/// A new order: `POST /orders?item=book&quantity=1&customer=c7`.
private struct NewOrder {
    let item: String
    let quantity: Int
    let customer: String

    init(_ request: Request) throws {
        let query = request.uri.queryParameters
        item = query["item"].map(String.init) ?? "book"
        customer = query["customer"].map(String.init) ?? "somebody"
        quantity = query["quantity"].flatMap { Int($0) } ?? 1
        guard OrderStore.items.contains(item), (1...100).contains(quantity),
            (1...100).contains(customer.utf8.count)
        else {
            throw HTTPError(
                .badRequest, message: "item, quantity or customer is invalid")
        }
    }
}
