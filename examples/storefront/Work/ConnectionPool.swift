// SPDX-License-Identifier: Apache-2.0
// A connection pool.

import OutriderInstruments
import Synchronization

final class ConnectionPool<Connection: Sendable>: Sendable {
    private let permits: Permits
    private let opened: OpenCount
    private let idle = Mutex<[Connection]>([])
    private let patience: Duration
    private let connect: @Sendable () async throws -> Connection
    private let isUsable: @Sendable (Connection) -> Bool
    private let metrics: PoolMetrics

    /// A pool of at most `count` connections, created on demand.
    ///
    /// - Parameters:
    ///   - patience: How long a caller waits for a connection.
    ///   - isUsable: Whether a connection can be reused.
    init(
        _ name: String, count: Int, patience: Duration,
        isUsable: @escaping @Sendable (Connection) -> Bool = { _ in true },
        connect: @escaping @Sendable () async throws -> Connection
    ) {
        let permits = Permits(count)
        self.permits = permits
        self.patience = patience
        self.connect = connect
        self.isUsable = isUsable
        // The closure is called at each scrape; open connections that are not in use are idle.
        let open = OpenCount()
        opened = open
        metrics = PoolMetrics(name) { [weak permits] in
            guard let taken = permits?.taken else { return nil }
            return .init(
                idle: max(0, open.value - taken.inUse), used: taken.inUse, max: count,
                pending: taken.waiting)
        }
    }

    /// Leases a connection for `body`.
    func with<Result: Sendable>(
        _ body: @Sendable (Connection) async throws -> Result
    ) async throws -> Result {
        func isTimeout(_ error: any Error) -> Bool { error is Permits.TimedOut }
        try await metrics.acquire(isTimeout: isTimeout) {
            try await permits.acquire(within: patience)
        }
        defer { permits.release() }
        let connection = if let idle = idleOne() { idle } else { try await made() }
        defer { giveBack(connection) }
        return try await metrics.use { try await body(connection) }
    }

    /// Closes all idle connections, each with `close`.
    func close(_ close: @Sendable (Connection) async throws -> Void) async {
        let unused = idle.withLock { idle in
            defer { idle = [] }
            return idle
        }
        for connection in unused {
            opened.add(-1)
            try? await close(connection)
        }
    }

    private func idleOne() -> Connection? {
        while let connection = idle.withLock({ $0.popLast() }) {
            if isUsable(connection) { return connection }
            opened.add(-1)
        }
        return nil
    }

    private func made() async throws -> Connection {
        let connection = try await metrics.create(connect)
        opened.add(1)
        return connection
    }

    private func giveBack(_ connection: Connection) {
        if isUsable(connection) {
            idle.withLock { $0.append(connection) }
        } else {
            opened.add(-1)
        }
    }
}

/// The number of open connections.
private final class OpenCount: Sendable {
    private let count = Atomic<Int>(0)

    var value: Int { count.load(ordering: .relaxed) }

    func add(_ change: Int) { count.wrappingAdd(change, ordering: .relaxed) }
}
