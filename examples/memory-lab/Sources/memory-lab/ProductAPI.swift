// SPDX-License-Identifier: Apache-2.0
// The routes: a large list of products, built in two ways, and single products.

import FlyingFox
import Foundation

struct ProductAPI: Sendable {
    private let catalogue = Catalogue(count: 8_000)
    private let pool = BufferPool(name: "payloads", limit: 16, capacity: 1_500_000)
    private let views = RecentViews()

    var routes: RoutedHTTPHandler {
        var routes = RoutedHTTPHandler()
        routes.appendRoute("GET /products/naive") { [catalogue] _ in
            .json(Data(catalogue.naiveJSON().utf8))
        }
        routes.appendRoute("GET /products/pooled") { [catalogue, pool] _ in
            .json(pool.data { buffer in catalogue.appendJSON(to: &buffer) })
        }
        routes.appendRoute("GET /products/:id") { [catalogue, views] request in
            let text: String? = request.routeParameters["id"]
            guard let id = text.flatMap({ Int($0) }), let product = catalogue.product(id) else {
                return HTTPResponse(statusCode: .notFound)
            }
            await views.remember(product, session: UUID().uuidString)
            return .json(Data(product.json.utf8))
        }
        return routes
    }
}

extension HTTPResponse {
    fileprivate static func json(_ body: Data) -> HTTPResponse {
        HTTPResponse(statusCode: .ok, headers: [.contentType: "application/json"], body: body)
    }
}
