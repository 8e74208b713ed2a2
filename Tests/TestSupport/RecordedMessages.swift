// SPDX-License-Identifier: Apache-2.0
// A log that a test reads.

public import OutriderMetrics
internal import Synchronization

/// The messages of a log, in their order; thread-safe.
public final class RecordedMessages: Sendable {
    private let recorded = Mutex<[String]>([])

    /// A log without messages.
    public init() {}

    /// The log to give to a registry.
    public var log: DiagnosticLog {
        DiagnosticLog { [self] _, message in recorded.withLock { $0.append(message) } }
    }

    /// What was logged so far.
    public var messages: [String] { recorded.withLock { $0 } }
}
