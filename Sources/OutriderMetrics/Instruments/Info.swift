// SPDX-License-Identifier: Apache-2.0
// Text about the service, as the labels of a series whose value is always 1.

internal import OutriderLocking

/// Facts that are text: a version, a commit, who is the leader.
///
/// In the text format it is a gauge with the value 1. Thread-safe.
public final class Info: Sendable {
    private let core: FamilyCore
    private let current = Guarded([String]())

    init(_ core: FamilyCore, values: [String: String]) {
        self.core = core
        set(values)
    }

    /// Replaces the values, by label name; a missing one becomes empty, an unknown one is refused.
    ///
    /// A scrape at this very moment may find neither the old nor the new values.
    public func set(_ values: [String: String]) {
        let names = core.definition.labels
        if let unknown = values.keys.first(where: { !names.contains($0) }) {
            core.diagnostics.refuse(
                .labelCount,
                "info \"\(core.definition.name)\" has no label \"\(unknown)\"; register it with it")
        }
        let next = names.map { values[$0] ?? "" }
        current.withLock { current in
            guard current != next || core.count == 0 else { return }
            _ = core.remove(current.span, order: nil)
            _ = core.instrument(for: next.span, order: nil)
            current = next
        }
    }
}
