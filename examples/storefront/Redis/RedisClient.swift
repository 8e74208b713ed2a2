// SPDX-License-Identifier: Apache-2.0
// A Redis client: a pool of connections behind a breaker.

import NIOCore

final class RedisClient: Sendable {
    let address: RedisAddress
    private let pool: ConnectionPool<RedisConnection>
    private let breaker = Breaker("redis", failuresToOpen: 5, pause: .milliseconds(200))
    private static let patience = TimeAmount.milliseconds(250)

    init(_ address: RedisAddress) {
        self.address = address
        pool = ConnectionPool(
            "redis", count: 16, patience: .milliseconds(100), isUsable: { $0.isOpen },
            connect: { try await RedisConnection.connect(to: address, within: Self.patience) })
    }

    /// Sends a command; throws ``RedisError``, ``Breaker/Open``, or an error of the connection
    /// pool.
    @discardableResult
    func call(_ words: String...) async throws -> RedisValue {
        try await breaker.call(isFailure: Self.isIllness) {
            try await pool.with { try await $0.call(words, within: Self.patience) }
        }
    }

    func close() async { await pool.close { try await $0.close() } }

    /// An error reply shows that Redis is up, so it is not a failure.
    private static func isIllness(_ error: any Error) -> Bool {
        switch error {
        case RedisError.refused, is CancellationError: false
        default: true
        }
    }
}
