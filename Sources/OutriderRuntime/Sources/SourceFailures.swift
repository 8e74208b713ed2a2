// SPDX-License-Identifier: Apache-2.0
// Counts sources that could not be read or parsed, and whose metrics are therefore missing.

package import OutriderMetrics
internal import OutriderThreading

/// Why a source could not be read.
package enum SourceFailure: String, Hashable, Sendable, Error {
    /// The file does not exist.
    case missing
    /// The file exists but cannot be read.
    case unreadable
    /// The file is larger than expected.
    case tooLarge = "too_large"
    /// The content does not match its documentation.
    case malformed
    /// The source caused too long a pause, and is not read any more.
    case switchedOff = "switched_off"
}

/// Counts the kernel files that could not be read or parsed, for all collectors.
///
/// Thread-safe.
package final class SourceFailures: Collector {
    private struct Key: Hashable, Sendable {
        let source: String
        let failure: SourceFailure
    }

    private let counts = Guarded<[Key: Int]>([:])

    /// Creates empty counts.
    package init() {}

    /// Counts a failed read of a source.
    ///
    /// Sources are few and have fixed names: `self/stat`, `memory.max`.
    package func count(_ source: String, _ failure: SourceFailure) {
        counts.withLock { $0[Key(source: source, failure: failure), default: 0] += 1 }
    }

    /// How often this failure has occurred.
    package func count(of source: String, _ failure: SourceFailure) -> Int {
        counts.withLock { $0[Key(source: source, failure: failure)] ?? 0 }
    }

    package var name: String { "sources" }

    private static let failures = CollectedFamily.counter(
        "outrider_source_failures_total",
        help: "Failed reads of a kernel file; its metrics are missing from the scrape.",
        labels: ["source", "reason"])

    package var families: [CollectedFamily] { [Self.failures] }

    package func collect(into samples: inout CollectedSamples) {
        for (key, count) in counts.withLock({ $0 }) {
            samples.add(Self.failures, count, key.source, key.failure.rawValue)
        }
    }
}
