// SPDX-License-Identifier: Apache-2.0
// Orders in memory.

struct Order: Sendable {
    let id: Int
    let kind: String
    let euros: Double

    var json: String { #"{"id":\#(id),"kind":"\#(kind)","euros":\#(euros)}"# + "\n" }
}

actor OrderBook {
    static let kinds = ["book", "record", "ticket"]
    /// The number of orders that are kept; older ones are removed, as in a shop that archives.
    private static let capacity = 1_000

    private var orders: [Int: Order] = [:]
    private var lastID = 0

    func place(kind: String) -> Order {
        lastID += 1
        let order = Order(id: lastID, kind: kind, euros: Double(lastID % 97) + 0.5)
        orders[lastID] = order
        orders[lastID - Self.capacity] = nil
        return order
    }

    func find(_ id: Int) -> Order? { orders[id] }

    var count: Int { orders.count }
}
