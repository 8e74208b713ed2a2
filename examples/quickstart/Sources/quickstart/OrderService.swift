// SPDX-License-Identifier: Apache-2.0
// The routes of the shop, each timed under its template.

import FlyingFox
import Foundation
import Outrider
import Synchronization

struct OrderService {
    let server: HTTPServer
    private let book = OrderBook()
    private let stopping = Stopping()

    private final class Stopping: Sendable {
        let isAsked = Atomic<Bool>(false)
    }

    init(port: UInt16) throws {
        server = HTTPServer(address: try .inet(ip4: "127.0.0.1", port: port), logger: .disabled)
    }

    /// Serves until ``stop()``; ends the program if it cannot.
    func run() async {
        do {
            try await server.run()
        } catch {
            // A server that is stopped ends with an error too.
            if stopping.isAsked.load(ordering: .relaxed) { return }
            print("cannot serve: \(error); QUICKSTART_PORT chooses another port (0: any)")
            exit(1)
        }
    }

    /// Takes no more requests, and gives those in flight half a second.
    func stop() async {
        stopping.isAsked.store(true, ordering: .relaxed)
        await server.stop(timeout: 0.5)
    }

    func addRoutes() async {
        await route("GET", "/") { _ in
            .text("Try GET /orders/1, POST /orders?kind=book, GET /report\n")
        }
        await route("GET", "/orders/:id") { [book] request in
            guard let text: String = request.routeParameters["id"], let id = Int(text),
                let order = await book.find(id)
            else { return .text("no such order\n", .notFound) }
            return .text(order.json)
        }
        await route("POST", "/orders") { [book] request in
            let kind = request.query["kind"] ?? "book"
            guard OrderBook.kinds.contains(kind) else {
                return .text("kind is one of \(OrderBook.kinds)\n", .badRequest)
            }
            let order = await book.place(kind: kind)
            Shop.orders.with(kind).increment()
            Shop.orderValue.observe(order.euros)
            return .text(order.json, .created)
        }
        await route("GET", "/report") { [book] _ in
            // The slow one: every service has it.
            try await Task.sleep(for: .milliseconds(.random(in: 20...120)))
            return .text("orders: \(await book.count)\n")
        }
    }

    private func route(
        _ method: String, _ template: String,
        _ answer: @escaping @Sendable (HTTPRequest) async throws -> HTTPResponse
    ) async {
        let active = Shop.activeRequests.with(method, "http")
        await server.appendRoute(HTTPRoute("\(method) \(template)")) { request in
            active.increment()
            defer { active.decrement() }
            let start = ContinuousClock.now
            let response: HTTPResponse
            do {
                response = try await answer(request)
            } catch {
                response = .text("failed\n", .internalServerError)
            }
            Shop.requestDuration
                .with(method, template, String(response.statusCode.code), "http")
                .observe(ContinuousClock.now - start)
            return response
        }
    }
}

extension HTTPResponse {
    fileprivate static func text(_ text: String, _ status: HTTPStatusCode = .ok) -> HTTPResponse {
        HTTPResponse(
            statusCode: status, headers: [.contentType: "text/plain; charset=utf-8"],
            body: Data(text.utf8))
    }
}

extension OrderService {
    /// The port that the service has, once it listens.
    var port: UInt16? {
        get async {
            switch await server.listeningAddress {
            case .ip4(_, let port), .ip6(_, let port): port
            default: nil
            }
        }
    }
}
