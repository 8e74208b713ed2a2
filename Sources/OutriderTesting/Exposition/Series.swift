// SPDX-License-Identifier: Apache-2.0
// The identity of a series: the name, and the labels with a non-empty value.

/// The identity of a series.
struct Series: Hashable, Comparable {
    let name: String
    /// Labels with an empty value are left out: to Prometheus they are the same as no label.
    let labels: [String: String]

    init(_ name: String, _ labels: [String: String]) {
        self.name = name
        self.labels = labels.filter { !$0.value.isEmpty }
    }

    static func < (one: Series, other: Series) -> Bool {
        one.name == other.name
            ? "\(one)".utf8.lexicographicallyPrecedes("\(other)".utf8)
            : one.name.utf8.lexicographicallyPrecedes(other.name.utf8)
    }
}

extension Series: CustomStringConvertible {
    /// The series as in an exposition, with its labels sorted by name.
    var description: String { name + Self.text(of: labels) }

    /// The labels in braces; empty if there are none.
    static func text(of labels: [String: String]) -> String {
        if labels.isEmpty { return "" }
        let pairs = labels.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            .map { "\($0.key)=\"\(escaped($0.value))\"" }
        return "{\(pairs.joined(separator: ","))}"
    }

    private static func escaped(_ value: String) -> String {
        var text = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": text += "\\\\"
            case "\"": text += "\\\""
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
