// SPDX-License-Identifier: Apache-2.0
// One finding about the names, help or labels of a metric.

/// An unusual name, help text or label of a metric family.
///
/// The findings and their texts are the same as those of `promtool check metrics`.
public struct NamingAdvice: Hashable, Sendable {
    /// The name of the family in the text format.
    public let metric: String
    /// The finding, in promtool's words.
    public let text: String

    /// Creates a finding to compare with, such as one that a test accepts.
    public init(metric: String, text: String) {
        self.metric = metric
        self.text = text
    }
}

extension NamingAdvice: CustomStringConvertible {
    /// The finding as promtool prints it.
    public var description: String { "\(metric) \(text)" }
}

extension NamingAdvice: Comparable {
    /// Sorts by metric, then by text.
    public static func < (one: NamingAdvice, other: NamingAdvice) -> Bool {
        one.metric == other.metric
            ? one.text.utf8.lexicographicallyPrecedes(other.text.utf8)
            : one.metric.utf8.lexicographicallyPrecedes(other.metric.utf8)
    }
}
