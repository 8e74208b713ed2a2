// SPDX-License-Identifier: Apache-2.0
// Cancellation: the caller gave up, whatever the state of the work.

/// Whether work ended with `error` because its caller gave up.
///
/// A cancelled task fails with many errors: a `CancellationError`, a client's own `cancelled`, a
/// connection that was closed for it. So every error of a cancelled task counts, whatever its type.
/// Must be called in the task that did the work.
package func isCancellation(_ error: any Error) -> Bool {
    error is CancellationError || Task.isCancelled
}
