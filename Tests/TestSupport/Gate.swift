// SPDX-License-Identifier: Apache-2.0
// A gate at which a server's handlers wait, so that a test knows how far they are.

/// A gate that starts closed and, once opened, stays open.
public final class Gate: Sendable {
    private let stream: AsyncStream<Never>
    private let continuation: AsyncStream<Never>.Continuation

    /// Creates a closed gate.
    public init() { (stream, continuation) = AsyncStream.makeStream(of: Never.self) }

    /// Opens the gate.
    public func open() { continuation.finish() }

    /// Waits until the gate is open or the task is cancelled; for one task only.
    public func wait() async {
        for await _ in stream {}
    }
}
