// SPDX-License-Identifier: Apache-2.0
// The naming rules.
//
// Source: the findings of `promtool check metrics` 2.42, in its words. A test runs both on the same
// names and compares the results.

/// The rules for the name, the help and the labels of one family.
struct NamingRules {
    private let name: String
    private let type: Exposition.FamilyType
    private let help: String?
    /// Label names, without those of the type itself.
    private let labels: Set<String>

    init(_ family: Exposition.Family, in format: Exposition.Format) {
        name =
            switch (family.type, format) {
            case (.counter, .openMetrics): family.name + "_total"
            case (.info, _): family.name + "_info"
            default: family.name
            }
        type = family.type
        help = family.help
        let own = family.type.distinguishingLabel(of: family.name)
        labels = Set(family.samples.flatMap(\.labels.keys)).filter { $0 != own }
    }

    /// All findings, without duplicates.
    var advice: Set<NamingAdvice> {
        let texts = helpTexts + unitTexts + suffixTexts + labelTexts + wordTexts
        return Set(texts.map { NamingAdvice(metric: name, text: $0) })
    }

    private var helpTexts: [String] { help == nil ? ["no help text"] : [] }

    private var unitTexts: [String] {
        guard let unit = MetricUnit.of(name), unit.name != unit.base else { return [] }
        return ["use base unit \"\(unit.base)\" instead of \"\(unit.name)\""]
    }

    /// Suffixes that imply a type; a metric without a type may have any of them.
    private var suffixTexts: [String] {
        if type == .unknown { return [] }
        let isHistogram = type == .histogram || type == .gaugeHistogram
        let isSummary = type == .summary
        var texts: [String] = []
        if type == .counter && !name.hasSuffix("_total") {
            texts.append("counter metrics should have \"_total\" suffix")
        }
        if type != .counter && name.hasSuffix("_total") {
            texts.append("non-counter metrics should not have \"_total\" suffix")
        }
        if !isHistogram && name.hasSuffix("_bucket") {
            texts.append("non-histogram metrics should not have \"_bucket\" suffix")
        }
        for suffix in ["_count", "_sum"] where !isHistogram && !isSummary && name.hasSuffix(suffix)
        {
            texts.append(
                "non-histogram and non-summary metrics should not have \"\(suffix)\" suffix")
        }
        return texts
    }

    private var labelTexts: [String] {
        var texts: [String] = []
        if labels.contains(where: Self.isCamelCase) {
            texts.append("label names should be written in 'snake_case' not 'camelCase'")
        }
        if type == .unknown { return texts }
        // The type's own labels have been removed before.
        if labels.contains("le") {
            texts.append("non-histogram metrics should not have \"le\" label")
        }
        if labels.contains("quantile") {
            texts.append("non-summary metrics should not have \"quantile\" label")
        }
        return texts
    }

    /// Findings about the words in the name.
    private var wordTexts: [String] {
        var texts: [String] = []
        for type in ["counter", "gauge", "summary", "histogram", "gauge_histogram"]
        where contains(type) {
            texts.append("metric name should not include type '\(type)'")
        }
        if name.contains(":") { texts.append("metric names should not contain ':'") }
        if Self.isCamelCase(name) {
            texts.append("metric names should be written in 'snake_case' not 'camelCase'")
        }
        if MetricUnit.abbreviations.contains(where: contains) {
            texts.append("metric names should not contain abbreviated units")
        }
        return texts
    }

    /// Whether the name contains these words, ignoring case, other than at its start.
    private func contains(_ words: String) -> Bool {
        let name = name.lowercased()
        return name.hasSuffix("_" + words) || name.contains("_\(words)_")
    }

    private static func isCamelCase(_ name: String) -> Bool {
        zip(name.utf8, name.utf8.dropFirst()).contains { letter, next in
            (0x61...0x7A).contains(letter) && (0x41...0x5A).contains(next)
        }
    }
}
