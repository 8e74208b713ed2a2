// SPDX-License-Identifier: Apache-2.0
// One metric family of an exposition.

extension Exposition {
    /// Samples that share a name, a type and a help text.
    public struct Family: Sendable {
        /// The name in the `HELP` and `TYPE` lines.
        ///
        /// For a counter it includes `_total` in the text format, but not in OpenMetrics.
        public let name: String
        /// The type; ``FamilyType/unknown`` without a `TYPE` line.
        public let type: FamilyType
        /// The help text; nil if it is missing or empty.
        public let help: String?
        /// The unit, in OpenMetrics only; nil if it is missing or empty.
        public let unit: String?
        /// The samples, in the order of the exposition; may be empty.
        public let samples: [Sample]
    }

    /// The family with this name, or the one that contains a sample with this name; nil if there is
    /// none.
    public func family(_ name: String) -> Family? {
        families.first { $0.name == name }
            ?? families.first { family in family.samples.contains { $0.name == name } }
    }
}
