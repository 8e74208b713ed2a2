// SPDX-License-Identifier: Apache-2.0
// Blocking clients beside asynchronous servers: the pool of two threads is the server's.

internal import OutriderThreading

/// Runs `body` on a thread of its own and waits for what comes of it, without blocking.
public func onOwnThread<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        let hasStarted = DetachedThread.start {
            continuation.resume(with: Result { try body() })
        }
        if !hasStarted {
            continuation.resume(throwing: ConnectionFailure(description: "no thread to be had"))
        }
    }
}
