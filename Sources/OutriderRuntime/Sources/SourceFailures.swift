// SPDX-License-Identifier: Apache-2.0
// Sources that told nothing, or something that nobody understands: what is absent is counted.

package import OutriderMetrics
internal import OutriderThreading

/// Why a source of numbers told none.
package enum SourceFailure: String, Hashable, Sendable, Error {
    /// There is no such file.
    case missing
    /// It is there, and may not be read.
    case unreadable
    /// It is larger than anything that it ought to hold.
    case tooLarge = "too_large"
    /// It does not say what its documentation says.
    case malformed
    /// It caused too long a pause, and is not read any more.
    case switchedOff = "switched_off"
}

/// Counts the files of the kernel that could not be read or understood, for all collectors.
///
/// Thread-safe.
package final class SourceFailures: Collector {
    private struct Key: Hashable, Sendable {
        let source: String
        let failure: SourceFailure
    }

    private let counts = Guarded<[Key: Int]>([:])

    /// Nothing has failed yet.
    package init() {}

    /// A source was asked in vain.
    ///
    /// Sources are few and have fixed names: `self/stat`, `memory.max`.
    package func count(_ source: String, _ failure: SourceFailure) {
        counts.withLock { $0[Key(source: source, failure: failure), default: 0] += 1 }
    }

    /// How often that has happened.
    package func count(of source: String, _ failure: SourceFailure) -> Int {
        counts.withLock { $0[Key(source: source, failure: failure)] ?? 0 }
    }

    package var name: String { "sources" }

    private static let failures = CollectedFamily.counter(
        "outrider_source_failures_total",
        help: "Reads of a source that told nothing, whose metrics are absent therefore.",
        labels: ["source", "reason"])

    package var families: [CollectedFamily] { [Self.failures] }

    package func collect(into samples: inout CollectedSamples) {
        for (key, count) in counts.withLock({ $0 }) {
            samples.add(Self.failures, count, key.source, key.failure.rawValue)
        }
    }
}
