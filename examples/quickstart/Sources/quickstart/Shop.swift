// SPDX-License-Identifier: Apache-2.0
// The metrics of the shop. They may be declared anywhere, before the agent exists. Request metrics
// come with the recorded routes.

import Outrider

enum Shop {
    static let orders = Registry.shared.counter(
        "orders_placed_total", help: "Orders accepted.", labels: ["kind"])

    static let orderValue = Registry.shared.histogram(
        "order_value_euros", help: "Value of an order, in euros.",
        buckets: .exponential(start: 1, factor: 4, count: 6))
}
