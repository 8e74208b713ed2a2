// SPDX-License-Identifier: Apache-2.0
// Work that blocks, from a test that may not: the pool of tasks has two threads at times.

internal import OutriderThreading

/// Runs `body` on a thread that no task needs, and waits for it.
///
public func aside<Result: Sendable>(
    _ body: @escaping @Sendable () throws -> Result
) async throws -> Result {
    try await withCheckedThrowingContinuation { answer in
        let isStarted = DetachedThread.start { answer.resume(with: Swift.Result { try body() }) }
        if !isStarted { answer.resume(throwing: ConnectionFailure(description: "no thread")) }
    }
}
