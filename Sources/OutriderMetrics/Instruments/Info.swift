// SPDX-License-Identifier: Apache-2.0
// Text about the service, as the labels of a series whose value is always 1.

/// Facts that are text: a version, a commit, who is the leader.
///
/// In the text format it is a gauge with the value 1. Thread-safe.
public final class Info: Sendable {
    private let core: FamilyCore

    init(_ core: FamilyCore, values: [String: String]) {
        self.core = core
        set(values)
    }

    /// Replaces the values, by label name; a missing one becomes empty, an unknown one is refused.
    ///
    /// A scrape at this very moment may find neither the old nor the new values.
    public func set(_ values: [String: String]) {
        let names = core.definition.labels
        let given = Array(values.keys)
        let values = Dictionary(
            zip(core.definition.readable(given), given.map { values[$0] ?? "" }),
            uniquingKeysWith: { first, _ in first })
        if let unknown = values.keys.first(where: { !names.contains($0) }) {
            core.diagnostics.refuse(
                .wrongLabels,
                "info \"\(core.definition.name)\" has no label \"\(unknown)\"; register it with it")
        }
        core.keepOnly(names.map { values[$0] ?? "" })
    }
}
