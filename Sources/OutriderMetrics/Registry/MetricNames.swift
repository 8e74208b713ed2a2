// SPDX-License-Identifier: Apache-2.0
// Which names metrics and labels may have, and how those are shown that not every scraper can read.
//
// Within the library a family has a name that everybody can read: with "_" in the place of whatever
// else. The names that it was given are kept beside it, and shown to scrapers that say how.
//
// Source: "Metric names and labels" of the Prometheus documentation.

/// Which names the metrics and labels of a registry may have.
public struct MetricNames: Hashable, Sendable, CustomStringConvertible {
    /// How `OUTRIDER_METRIC_NAMES` spells it.
    public let description: String

    /// ASCII letters, digits, `_`, and for metrics `:`; no digit first.
    ///
    /// Every scraper reads these.
    public static let classic = MetricNames(description: "classic")
    /// Any text: `http.server.requests`, `Größe`.
    ///
    /// Prometheus 3 reads these as they are; other scrapers
    /// are shown `_` in the place of what they could not read. Names that would be shown alike are refused.
    /// A label that would be shown with two `_` at its beginning, which belong to Prometheus, is shown
    /// in the scheme `values` instead.
    public static let utf8 = MetricNames(description: "utf8")

    private init(description: String) {
        self.description = description
    }

    /// What the environment says; classic if it says nothing.
    static func ofProcess(log: DiagnosticLog) -> MetricNames {
        EnvironmentChoice.read("OUTRIDER_METRIC_NAMES", [classic, utf8], log: log)
    }
}

extension NameEscaping {
    /// A name as the scheme has it.
    func escape(_ name: String, allowsColon: Bool) -> String {
        if self == .none || MetricDefinition.isValid(name, allowingColon: allowsColon) {
            return name
        }
        var escaped = self == .values ? "U__" : ""
        for (position, scalar) in name.unicodeScalars.enumerated() {
            let isDigit = ("0"..."9").contains(scalar)
            let isAllowed =
                ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_"
                || (isDigit && position > 0) || (allowsColon && scalar == ":")
            switch (self, scalar) {
            case (.dots, "_"), (.values, "_"): escaped += "__"
            case (.dots, "."): escaped += "_dot_"
            case _ where isAllowed: escaped.unicodeScalars.append(scalar)
            case (.dots, _): escaped += "__"
            case (.values, _): escaped += "_\(String(scalar.value, radix: 16))_"
            default: escaped += "_"
            }
        }
        return escaped
    }

    /// The name of a label as the scheme has it; if that belongs to Prometheus, as `values` has it.
    ///
    /// `ラベル` is `___` with underscores, which a server drops after a scrape, and `--name--` is `__name__`.
    func escape(label name: String) -> String {
        let escaped = escape(name, allowsColon: false)
        return ReservedNames.isLabel(escaped)
            ? NameEscaping.values.escape(name, allowsColon: false) : escaped
    }
}

/// The names that a family was given, where not every scraper can read them.
struct GivenNames: Hashable, Sendable {
    /// The name without the suffix of its type.
    let baseName: String
    /// What was given for a label, by the name that everybody can read; those that differ alone.
    let labels: [String: String]

    /// The name of a label in a scheme, by the name that everybody can read.
    func label(_ name: String, _ escaping: NameEscaping) -> String {
        labels[name].map { escaping.escape(label: $0) } ?? name
    }
}
