// SPDX-License-Identifier: Apache-2.0
// Advice about everything that is exposed.

public import OutriderMetrics

extension Exposition {
    /// What is unusual about the names, the help and the labels of the families, sorted.
    ///
    /// As `promtool check metrics` 2.42 has it, each finding once. A family without samples gets no
    /// advice, and of several units in a name only the last one counts.
    public func advice() -> [NamingAdvice] {
        families.filter { !$0.samples.isEmpty }
            .reduce(into: Set<NamingAdvice>()) { $0.formUnion(NamingRules($1, in: format).advice) }
            .sorted()
    }
}

extension Registry {
    /// What is unusual about the names, the help and the labels of the metrics, sorted.
    ///
    /// Scrapes; a family without series is not looked at, since it is not exposed. See
    /// ``Exposition/advice()``.
    ///
    /// - Throws: ``ExpositionError`` as ``exposition(names:)`` does.
    public func namingAdvice() throws(ExpositionError) -> [NamingAdvice] {
        try exposition().advice()
    }
}
