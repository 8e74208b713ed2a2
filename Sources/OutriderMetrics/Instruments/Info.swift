// SPDX-License-Identifier: Apache-2.0
// An info metric: text about the service, as labels of a series whose value is always 1.

/// Text about the service: a version, a commit, the name of the leader.
///
/// Exposed as a gauge with the value 1 in the text format. Thread-safe.
public final class Info: Sendable {
    private let core: FamilyCore

    init(_ core: FamilyCore, values: [String: String]) {
        self.core = core
        set(values)
    }

    /// Replaces the values, by label name; a missing name becomes empty, an unknown name is
    /// refused.
    ///
    /// A concurrent scrape may find neither the old nor the new values.
    public func set(_ values: [String: String]) {
        let names = core.definition.labels
        let given = Array(values.keys)
        let values = Dictionary(
            zip(core.definition.readable(given), given.map { values[$0] ?? "" }),
            uniquingKeysWith: { first, _ in first })
        if let unknown = values.keys.first(where: { !names.contains($0) }) {
            core.diagnostics.refuse(
                .wrongLabels,
                "info \"\(core.definition.name)\" has no label \"\(unknown)\"; add it to the registration"
            )
        }
        core.keepOnly(names.map { values[$0] ?? "" })
    }
}
