// SPDX-License-Identifier: Apache-2.0
// Orders and stock in SQLite. One connection writes, a pool of connections reads.

import Foundation
import GRDB

struct OrderStore: Sendable {
    /// The stock is too low.
    struct SoldOut: Error {}

    static let items = ["book", "record", "ticket"]
    /// The orders of a new shop.
    static let firstOrders = 1...2_000
    private static let firstStock = 1_000_000

    private let writer: DatabaseQueue
    private let readers: ConnectionPool<DatabaseQueue>
    private let fault: Fault?
    /// The folder to delete at exit, if any.
    private let temporary: URL?

    init(file: String?, fault: Fault?) throws {
        let place: String
        if let file {
            place = file
            temporary = nil
        } else {
            let folder = FileManager.default.temporaryDirectory
                .appendingPathComponent("storefront-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            place = folder.appendingPathComponent("orders.sqlite").path
            temporary = folder
        }
        self.fault = fault
        var configuration = Configuration()
        configuration.journalMode = .wal
        configuration.busyMode = .timeout(1)
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA synchronous = NORMAL") }
        writer = try DatabaseQueue(path: place, configuration: configuration)
        try writer.write(Self.migrate)
        var readOnly = Configuration()
        readOnly.readonly = true
        readOnly.busyMode = .timeout(1)
        readers = ConnectionPool("orders-db", count: 4, patience: .seconds(1)) { [readOnly] in
            try DatabaseQueue(path: place, configuration: readOnly)
        }
    }

    /// The order with this ID; nil if there is none.
    func order(_ id: Int) async throws -> Order? {
        try await readers.with { connection in
            try await fault?.strikeQuery()
            return try await connection.read { try Order.fetchOne($0, key: id) }
        }
    }

    /// Writes these orders, all or none.
    func insert(_ orders: [Order]) async throws {
        try await writer.write { database in
            for order in orders { try order.insert(database) }
        }
    }

    /// Takes items from the stock; throws ``SoldOut`` if there are not enough.
    func take(_ quantity: Int, of item: String) async throws {
        try await writer.write { database in
            try database.execute(
                sql: "UPDATE stock SET count = count - :n WHERE item = :item AND count >= :n",
                arguments: ["n": quantity, "item": item])
            if database.changesCount == 0 { throw SoldOut() }
        }
    }

    /// Returns items to the stock.
    func give(_ quantity: Int, of item: String) async throws {
        try await writer.write { try Self.give(quantity, of: item, in: $0) }
    }

    /// Cancels an order and returns its items to the stock; nil if no such order is in the state
    /// `placed`.
    func cancel(_ id: Int) async throws -> Order? {
        try await writer.write { database in
            guard var order = try Order.fetchOne(database, key: id), order.status == "placed"
            else { return nil }
            order.status = "cancelled"
            try order.update(database)
            try Self.give(order.quantity, of: order.item, in: database)
            return order
        }
    }

    private static func give(_ quantity: Int, of item: String, in database: Database) throws {
        try database.execute(
            sql: "UPDATE stock SET count = count + ? WHERE item = ?", arguments: [quantity, item])
    }

    /// Closes all connections, and deletes a temporary database.
    func close() async {
        await readers.close { try $0.close() }
        try? writer.close()
        if let temporary { try? FileManager.default.removeItem(at: temporary) }
    }

    private static func migrate(_ database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE IF NOT EXISTS orders (
                    id INTEGER PRIMARY KEY, item TEXT NOT NULL, customer TEXT NOT NULL,
                    quantity INTEGER NOT NULL, status TEXT NOT NULL);
                CREATE TABLE IF NOT EXISTS stock (item TEXT PRIMARY KEY, count INTEGER NOT NULL);
                """)
        for item in items {
            try database.execute(
                sql: "INSERT OR IGNORE INTO stock VALUES (?, ?)", arguments: [item, firstStock])
        }
        guard try Order.fetchCount(database) == 0 else { return }
        for id in firstOrders {
            let item = items[id % items.count]
            try Order(id: id, item: item, customer: "c\(id % 100)", quantity: 1).insert(database)
        }
    }
}
