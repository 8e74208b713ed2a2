// SPDX-License-Identifier: Apache-2.0
// The line-by-line difference of two expositions.
//
// The order of families and series is not significant, so both expositions are sorted the same way
// before they are compared.

/// The difference of two expositions.
struct ExpositionDiff {
    /// A line of an exposition with its sort key.
    private struct Line {
        let key: SortKey
        let text: String
    }

    /// The sort key of a line: comments first, then metric after metric.
    private struct SortKey: Comparable, Hashable {
        let comment: Int
        let labels: String
        let bound: Double
        let series: Series?

        static func < (one: SortKey, other: SortKey) -> Bool {
            if one.comment != other.comment { return one.comment < other.comment }
            if one.labels != other.labels {
                return one.labels.utf8.lexicographicallyPrecedes(other.labels.utf8)
            }
            if one.bound != other.bound { return one.bound < other.bound }
            guard let series = one.series, let otherSeries = other.series else { return false }
            return series < otherSeries
        }
    }

    private let expected: Exposition
    private let found: Exposition

    init(expected: Exposition, found: Exposition) {
        self.expected = expected
        self.found = found
    }

    /// The families that differ, with each line prefixed by `-` (expected), `+` (found) or a blank
    /// (both); empty if nothing differs.
    var lines: [String] {
        let names = Set((expected.families + found.families).map(\.name))
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.flatMap { name in
            let merged = merge(Self.lines(of: name, in: expected), Self.lines(of: name, in: found))
            return merged.contains { !$0.hasPrefix(" ") } ? merged : []
        }
    }

    private func merge(_ expected: [Line], _ found: [Line]) -> [String] {
        var merged: [String] = []
        var rest = found[...]
        for line in expected {
            while let next = rest.first, next.key < line.key {
                merged.append("+ \(next.text)")
                rest.removeFirst()
            }
            if let next = rest.first, next.text == line.text {
                merged.append("  \(line.text)")
                rest.removeFirst()
                continue
            }
            merged.append("- \(line.text)")
            if let next = rest.first, next.key == line.key {
                merged.append("+ \(next.text)")
                rest.removeFirst()
            }
        }
        return merged + rest.map { "+ \($0.text)" }
    }

    // MARK: - Lines

    private static func lines(of name: String, in exposition: Exposition) -> [Line] {
        guard let family = exposition.families.first(where: { $0.name == name }) else { return [] }
        var comments = ["# TYPE \(name) \(family.type.word(in: exposition.format))"]
        if let unit = family.unit { comments.append("# UNIT \(name) \(unit)") }
        if let help = family.help { comments.append("# HELP \(name) \(oneLine(help))") }
        let lines = comments.map { text in
            let keyword = text.dropFirst(2).first
            let rank = keyword == "T" ? 0 : keyword == "U" ? 1 : 2
            return Line(
                key: SortKey(comment: rank, labels: "", bound: 0, series: nil), text: text)
        }
        let samples = family.samples.map { sample in
            Line(key: key(of: sample, in: family), text: text(of: sample))
        }
        return lines + samples.sorted { $0.key < $1.key }
    }

    private static func key(
        of sample: Exposition.Sample, in family: Exposition.Family
    ) -> SortKey {
        let own = family.type.distinguishingLabel(of: family.name)
        let bound = own.flatMap { sample.labels[$0] }.flatMap(LineScanner.number)
        return SortKey(
            comment: 3, labels: Series.text(of: sample.series.labels.filter { $0.key != own }),
            bound: bound ?? .infinity, series: sample.series)
    }

    private static func text(of sample: Exposition.Sample) -> String {
        var text = "\(sample.series) \(NumberText.of(sample.value))"
        if let timestamp = sample.timestamp { text += " @\(NumberText.of(timestamp)) s" }
        if let exemplar = sample.exemplar {
            let labels = exemplar.labels.isEmpty ? "{}" : Series.text(of: exemplar.labels)
            text += " # \(labels) \(NumberText.of(exemplar.value))"
            if let timestamp = exemplar.timestamp { text += " @\(NumberText.of(timestamp)) s" }
        }
        return text
    }

    private static func oneLine(_ help: String) -> String {
        help.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\\n")
    }
}
