// SPDX-License-Identifier: Apache-2.0
// Hears from Redis which orders other instances have changed.

import NIOCore
import Outrider
import ServiceLifecycle

struct InvalidationListener: Service {
    let address: RedisAddress
    let cache: OrderCache
    private static let connected = Registry.shared.gauge(
        "storefront_invalidations_connected",
        help: "1 while changes by other instances are heard of.")

    /// Listens until the group shuts down, and connects anew whenever it has to.
    func run() async {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                try? await listen()
                Self.connected.set(0)
                // What happened meanwhile was not heard.
                cache.clear()
                try? await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    private func listen() async throws {
        let connection = try await RedisConnection.connect(to: address, within: .milliseconds(250))
        try await withTaskCancellationHandler {
            _ = try await connection.call(
                ["SUBSCRIBE", RedisState.invalidations], within: .milliseconds(250))
            // Between the last connection and this one, too.
            cache.clear()
            Self.connected.set(1)
            for await message in connection.messages {
                if let key = message.last?.string { cache.invalidate(key) }
            }
        } onCancel: {
            Task { try? await connection.close() }
        }
    }
}
