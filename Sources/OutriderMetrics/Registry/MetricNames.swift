// SPDX-License-Identifier: Apache-2.0
// Naming schemes of metrics and labels, and the escaping of names for scrapers that do not accept
// UTF-8.
//
// Internally, a family has a classic name, with "_" for every other character. The given names are
// kept as well, and sent to scrapers that request an escaping scheme.
//
// Source: "Metric names and labels" of the Prometheus documentation.

/// The names that metrics and labels of a registry may have.
public struct MetricNames: Hashable, Sendable, CustomStringConvertible {
    /// The value of `OUTRIDER_METRIC_NAMES` for this choice.
    public let description: String

    /// ASCII letters, digits, `_`, and for metrics `:`; no digit first.
    ///
    /// Every scraper reads these.
    public static let classic = MetricNames(description: "classic")
    /// Any text: `http.server.requests`, `Größe`.
    ///
    /// Prometheus 3 accepts these as they are; for other scrapers, `_` replaces every character
    /// that they do not accept. Names that would look the same are refused. A label name that would
    /// start with two `_`, which Prometheus reserves, is escaped with the scheme `values` instead.
    public static let utf8 = MetricNames(description: "utf8")

    private init(description: String) {
        self.description = description
    }

    /// The choice in the environment; classic if it is not set.
    static func ofProcess(log: DiagnosticLog) -> MetricNames {
        EnvironmentChoice.read("OUTRIDER_METRIC_NAMES", [classic, utf8], log: log)
    }
}

extension NameEscaping {
    /// Escapes a name with this scheme.
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

    /// Escapes a label name with this scheme, or with `values` if the result is reserved for
    /// Prometheus.
    ///
    /// With underscores, `ラベル` would be `___`, which a server drops after a scrape, and `--name--`
    /// would be `__name__`.
    func escape(label name: String) -> String {
        let escaped = escape(name, allowsColon: false)
        return ReservedNames.isLabel(escaped)
            ? NameEscaping.values.escape(name, allowsColon: false) : escaped
    }
}

/// The names that a family was given, if they are not classic names.
struct GivenNames: Hashable, Sendable {
    /// The name without the suffix of its type.
    let baseName: String
    /// The given label names by classic name; only those that differ.
    let labels: [String: String]

    /// The name of a label in an escaping scheme, by its classic name.
    func label(_ name: String, _ escaping: NameEscaping) -> String {
        labels[name].map { escaping.escape(label: $0) } ?? name
    }
}
