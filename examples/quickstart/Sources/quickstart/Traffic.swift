// SPDX-License-Identifier: Apache-2.0
// Built-in traffic over real sockets, so that the metrics have values.

import FlyingSocks
import Foundation

struct Traffic {
    let port: UInt16

    /// Sends requests, about twenty a second, until the task is cancelled.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await every(.milliseconds(150)) { "POST /orders?kind=\(Self.kind())" } }
            group.addTask {
                await every(.milliseconds(80)) { "GET /orders/\(Int.random(in: 1...60))" }
            }
            group.addTask { await every(.milliseconds(700)) { "GET /report" } }
        }
    }

    private static func kind() -> String {
        // One in ten orders is for an unknown kind.
        Int.random(in: 0..<10) == 0 ? "boat" : OrderBook.kinds.randomElement() ?? "book"
    }

    private func every(_ pause: Duration, _ requestLine: @Sendable () -> String) async {
        while !Task.isCancelled {
            // A failed request is not retried; the next one follows.
            try? await send(requestLine())
            try? await Task.sleep(for: pause)
        }
    }

    private func send(_ requestLine: String) async throws {
        let request = "\(requestLine) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        let socket = try await AsyncSocket.connected(to: .inet(ip4: "127.0.0.1", port: port))
        defer { try? socket.close() }
        try await socket.write(Data(request.utf8))
        _ = try await socket.read(atMost: 4_096)
    }
}
