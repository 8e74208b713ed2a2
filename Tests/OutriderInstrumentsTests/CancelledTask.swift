// SPDX-License-Identifier: Apache-2.0
// Helpers that simulate a caller's cancellation.

import TestSupport

/// An error other than CancellationError that cancelled work throws.
struct GaveUp: Error {}

/// Runs `body` in a task that is already cancelled, and waits until it has finished.
func inCancelledTask(_ body: @escaping @Sendable () async throws -> Void) async {
    let task = Task {
        // The gate is never opened: only cancellation ends the wait.
        await Gate().wait()
        try await body()
    }
    task.cancel()
    _ = await task.result
}
