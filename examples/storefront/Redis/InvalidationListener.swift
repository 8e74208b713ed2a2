// SPDX-License-Identifier: Apache-2.0
// Subscribes to Redis for orders that other instances have changed.

import NIOCore
import Outrider
import ServiceLifecycle

struct InvalidationListener: Service {
    let address: RedisAddress
    let cache: OrderCache
    private static let connected = Registry.shared.gauge(
        "storefront_invalidations_connected",
        help: "1 while invalidations from other instances are received.")

    /// Listens until the group shuts down, and reconnects when necessary.
    func run() async {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                try? await listen()
                Self.connected.set(0)
                // Changes in the meantime were missed.
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
            // Changes between the last connection and this one were missed too.
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
