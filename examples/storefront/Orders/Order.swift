// SPDX-License-Identifier: Apache-2.0
// An order, as stored, cached and returned.

import Foundation
import GRDB
import Hummingbird

struct Order: Codable, Sendable, Equatable, FetchableRecord, PersistableRecord, ResponseEncodable {
    static let databaseTableName = "orders"

    let id: Int
    let item: String
    let customer: String
    let quantity: Int
    var status = "placed"

    /// The key of an order in caches.
    static func key(_ id: Int) -> String { "order:\(id)" }

    /// The text that level 2 caches.
    func cacheText() throws -> String {
        String(decoding: try JSONEncoder().encode(self), as: UTF8.self)
    }

    init(id: Int, item: String, customer: String, quantity: Int) {
        (self.id, self.item, self.customer, self.quantity) = (id, item, customer, quantity)
    }

    init(cacheText: String) throws {
        self = try JSONDecoder().decode(Order.self, from: Data(cacheText.utf8))
    }
}

/// IDs of new orders that no other instance is likely to assign in the same millisecond.
struct OrderNumbers {
    private static let suffix = 1_000

    /// The time in milliseconds, and three random digits.
    static func next() -> Int {
        Int(Date().timeIntervalSince1970 * 1_000) * suffix + Int.random(in: 0..<suffix)
    }
}
