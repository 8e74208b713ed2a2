// SPDX-License-Identifier: Apache-2.0
// Hints about what an exposition contains instead of a missing sample.

extension Exposition {
    /// Maximum number of lines in a hint; a scrape may have thousands of series.
    private static let hintLimit = 10

    /// Describes what was found instead of a missing sample, as the rest of a sentence.
    func availableNames(instead name: String) -> String {
        let siblings = families.flatMap(\.samples).filter { $0.name == name }
        if !siblings.isEmpty {
            let lines = siblings.map { "\($0.series) \(NumberText.of($0.value))" }
            return "\(name) has only other labels:" + Self.list(lines)
        }
        if let family = families.first(where: { $0.name == name }) {
            let names = Self.unique(family.samples.map(\.name))
            return names.isEmpty
                ? "\(name) has no samples"
                : "\(name) is a \(family.type.word(in: format)) with the samples:"
                    + Self.list(names)
        }
        let names = Self.unique(families.flatMap { [$0.name] + $0.samples.map(\.name) })
        if names.isEmpty { return "nothing is exposed" }
        let near = names.filter { Self.areNear($0, name) }
        return near.isEmpty
            ? "there is no such name. The names are:" + Self.list(names)
            : "there is no such name. Similar names are:" + Self.list(near)
    }

    private static func list(_ lines: [String]) -> String {
        let shown = lines.prefix(hintLimit).map { "\n    \($0)" }.joined()
        let rest = lines.count - hintLimit
        return rest > 0 ? "\(shown)\n    and \(rest) more" : shown
    }

    private static func unique(_ names: [String]) -> [String] {
        var seen: Set<String> = []
        return names.filter { seen.insert($0).inserted }
    }

    /// Whether two names are similar enough to be a typo.
    private static func areNear(_ one: String, _ other: String) -> Bool {
        one.hasPrefix(other) || other.hasPrefix(one)
            || distance(Array(one.utf8), Array(other.utf8)) <= max(2, other.utf8.count / 5)
    }

    /// The edit distance: the number of letters to insert, remove or replace to turn one name into
    /// the other.
    private static func distance(_ one: [UInt8], _ other: [UInt8]) -> Int {
        var row = Array(0...other.count)
        for (index, letter) in one.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for (column, otherLetter) in other.enumerated() {
                let replaced = diagonal + (letter == otherLetter ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, row[column] + 1, diagonal + 1)
            }
        }
        return row[other.count]
    }
}
