// SPDX-License-Identifier: Apache-2.0
// Naming advice for everything that is exposed.

public import OutriderMetrics

extension Exposition {
    /// Unusual names, help texts and labels of the families, sorted.
    ///
    /// The findings are those of `promtool check metrics` 2.42, without duplicates. A family
    /// without samples gets no advice, and of several units in a name only the last one counts.
    public func advice() -> [NamingAdvice] {
        families.filter { !$0.samples.isEmpty }
            .reduce(into: Set<NamingAdvice>()) { $0.formUnion(NamingRules($1, in: format).advice) }
            .sorted()
    }
}

extension Registry {
    /// Unusual names, help texts and labels of the metrics, sorted.
    ///
    /// Scrapes the registry; a family without series is not exposed and so not checked. See
    /// ``Exposition/advice()``.
    ///
    /// - Throws: ``ExpositionError`` as ``exposition(names:)`` does.
    public func namingAdvice() throws(ExpositionError) -> [NamingAdvice] {
        try exposition().advice()
    }
}
