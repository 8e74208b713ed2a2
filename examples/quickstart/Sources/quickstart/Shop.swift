// SPDX-License-Identifier: Apache-2.0
// The metrics of the shop. They may be declared anywhere, before the agent exists.

import Outrider

enum Shop {
    static let orders = Registry.shared.counter(
        "orders_placed_total", help: "Orders accepted.", labels: ["kind"])

    static let orderValue = Registry.shared.histogram(
        "order_value_euros", help: "Value of an order, in euros.",
        buckets: .exponential(start: 1, factor: 4, count: 6))

    static let requestDuration = Registry.shared.histogram(
        "http_server_request_duration_seconds", help: "Time to answer a request.",
        labels: ["http_request_method", "http_route", "http_response_status_code", "url_scheme"],
        buckets: .lowLatency)

    static let activeRequests = Registry.shared.gauge(
        "http_server_active_requests", help: "Requests being answered.",
        labels: ["http_request_method", "url_scheme"])
}
