// SPDX-License-Identifier: Apache-2.0
// One piece of advice about the name of a metric.

/// What is unusual about the name, the help or the labels of a metric family.
///
/// The same findings in the same words as `promtool check metrics`, so that a test finds them
/// before somebody else does.
public struct NamingAdvice: Hashable, Sendable {
    /// The family, by its name in the text format.
    public let metric: String
    /// What is unusual, as promtool says it.
    public let text: String

    /// Advice to compare with, such as a finding that a test accepts.
    public init(metric: String, text: String) {
        self.metric = metric
        self.text = text
    }
}

extension NamingAdvice: CustomStringConvertible {
    /// The advice as promtool prints it.
    public var description: String { "\(metric) \(text)" }
}

extension NamingAdvice: Comparable {
    /// By metric, then by text.
    public static func < (one: NamingAdvice, other: NamingAdvice) -> Bool {
        one.metric == other.metric
            ? one.text.utf8.lexicographicallyPrecedes(other.text.utf8)
            : one.metric.utf8.lexicographicallyPrecedes(other.metric.utf8)
    }
}
