// SPDX-License-Identifier: Apache-2.0
// The routes of the shop, each recorded by its path.

import FlyingFox
import Foundation
import Outrider
import OutriderFlyingFox
import Synchronization

struct OrderService {
    let server: HTTPServer
    private let stopping = Stopping()

    private final class Stopping: Sendable {
        let isAsked = Atomic<Bool>(false)
    }

    init(port: UInt16, recorder: HTTPRequestRecorder) throws {
        server = HTTPServer(
            address: try .inet(ip4: "127.0.0.1", port: port), logger: .disabled,
            handler: Self.routes(of: OrderBook()).recorded(by: recorder))
    }

    /// Serves until ``stop()``; exits the program on failure.
    func run() async {
        do {
            try await server.run()
        } catch {
            // A stopped server also ends with an error.
            if stopping.isAsked.load(ordering: .relaxed) { return }
            print("cannot serve: \(error). Set QUICKSTART_PORT to another port (0: any)")
            exit(1)
        }
    }

    /// Stops accepting requests, and gives those in flight half a second.
    func stop() async {
        stopping.isAsked.store(true, ordering: .relaxed)
        await server.stop(timeout: 0.5)
    }

    private static func routes(of book: OrderBook) -> RoutedHTTPHandler {
        var routes = RoutedHTTPHandler()
        routes.appendRoute("GET /") { _ in
            .text("Try GET /orders/1, POST /orders?kind=book, GET /report\n")
        }
        routes.appendRoute("GET /orders/:id") { request in
            guard let text: String = request.routeParameters["id"], let id = Int(text),
                let order = await book.find(id)
            else { return .text("no such order\n", .notFound) }
            return .text(order.json)
        }
        routes.appendRoute("POST /orders") { request in
            let kind = request.query["kind"] ?? "book"
            guard OrderBook.kinds.contains(kind) else {
                return .text("kind must be one of \(OrderBook.kinds)\n", .badRequest)
            }
            let order = await book.place(kind: kind)
            Shop.orders.with(kind).increment()
            Shop.orderValue.observe(order.euros)
            return .text(order.json, .created)
        }
        routes.appendRoute("GET /report") { _ in
            // Every service has a slow route.
            try await Task.sleep(for: .milliseconds(.random(in: 20...120)))
            return .text("orders: \(await book.count)\n")
        }
        return routes
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
    /// The port of the service, once it listens.
    var port: UInt16? {
        get async {
            switch await server.listeningAddress {
            case .ip4(_, let port), .ip6(_, let port): port
            default: nil
            }
        }
    }
}
