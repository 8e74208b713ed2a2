// SPDX-License-Identifier: Apache-2.0
// Something that handlers of a server wait for, so that a test knows where they are.

/// Shut until it is opened; open for good then.
public final class Gate: Sendable {
    private let stream: AsyncStream<Never>
    private let continuation: AsyncStream<Never>.Continuation

    /// A gate that is shut.
    public init() { (stream, continuation) = AsyncStream.makeStream(of: Never.self) }

    /// Lets all pass.
    public func open() { continuation.finish() }

    /// Waits until it is open, or the task is cancelled; for one task.
    public func wait() async {
        for await _ in stream {}
    }
}
