// SPDX-License-Identifier: Apache-2.0
// A log whose messages a test can read.

public import OutriderMetrics
internal import Synchronization

/// Records the messages of a log in order; thread-safe.
public final class RecordedMessages: Sendable {
    private let recorded = Mutex<[String]>([])

    /// Creates a log without messages.
    public init() {}

    /// The log to pass to a registry.
    public var log: DiagnosticLog {
        DiagnosticLog { [self] _, message in recorded.withLock { $0.append(message) } }
    }

    /// All messages so far.
    public var messages: [String] { recorded.withLock { $0 } }
}
