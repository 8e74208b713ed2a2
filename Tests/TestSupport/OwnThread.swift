// SPDX-License-Identifier: Apache-2.0
// Blocking clients beside asynchronous servers, which need the cooperative pool's two threads.

internal import OutriderThreading

/// Runs `body` on a separate thread and awaits its result.
public func onOwnThread<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        let hasStarted = DetachedThread.start {
            continuation.resume(with: Result { try body() })
        }
        if !hasStarted {
            continuation.resume(throwing: ConnectionFailure(description: "no thread available"))
        }
    }
}
