// SPDX-License-Identifier: Apache-2.0
// One metric family of an exposition.

extension Exposition {
    /// Samples that share a name, a type and a help text.
    public struct Family: Sendable {
        /// The name on the lines `HELP` and `TYPE`.
        ///
        /// A counter has `_total` in it in the text format and not in OpenMetrics.
        public let name: String
        /// The type; ``FamilyType/unknown`` where there is no `TYPE` line.
        public let type: FamilyType
        /// The help text; nil where there is none or it is empty.
        public let help: String?
        /// The unit, which only OpenMetrics has; nil where there is none or it is empty.
        public let unit: String?
        /// The samples, in the order in which they are exposed; there may be none.
        public let samples: [Sample]
    }

    /// The family of this name, or the one that has a sample of this name; nil if there is none.
    public func family(_ name: String) -> Family? {
        families.first { $0.name == name }
            ?? families.first { family in family.samples.contains { $0.name == name } }
    }
}
