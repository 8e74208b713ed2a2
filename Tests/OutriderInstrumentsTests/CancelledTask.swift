// SPDX-License-Identifier: Apache-2.0
// A caller that gives up, as the instruments see it.

import TestSupport

/// What work throws that was cancelled, in words of its own.
struct GaveUp: Error {}

/// Runs `body` in a task that is cancelled by then, and waits until it has ended.
func inCancelledTask(_ body: @escaping @Sendable () async throws -> Void) async {
    let task = Task {
        // The gate stays shut: only cancellation ends the wait.
        await Gate().wait()
        try await body()
    }
    task.cancel()
    _ = await task.result
}
