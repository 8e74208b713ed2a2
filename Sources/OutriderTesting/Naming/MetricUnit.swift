// SPDX-License-Identifier: Apache-2.0
// The units that names of metrics have, and the base unit of each.
//
// Source: the rules of `promtool check metrics`; "Base units" of the Prometheus naming guide.

/// A unit of measurement in the name of a metric.
struct MetricUnit {
    /// The unit as the name has it: `milliseconds`.
    let name: String
    /// The unit that is used in its place: `seconds`.
    let base: String

    /// The unit that a word of a name is; nil if it is none.
    init?(_ word: Substring) {
        for prefix in [""] + Self.prefixes where word.hasPrefix(prefix) {
            if let base = Self.bases[String(word.dropFirst(prefix.count))] {
                name = String(word)
                self.base = base
                return
            }
        }
        return nil
    }

    /// The unit of a metric; nil if its name has none.
    ///
    /// Of several, the last one: a name ends in its unit.
    static func of(_ metric: String) -> MetricUnit? {
        metric.split(separator: "_").reversed().lazy.compactMap { MetricUnit($0) }.first
    }

    /// Short forms that leave a reader guessing.
    static let abbreviations = [
        "s", "ms", "us", "ns", "sec", "m", "h", "d", "b", "kb", "mb", "gb", "tb", "pb",
    ]

    private static let bases: [String: String] = {
        let unitsOfBase = [
            "seconds": ["minutes", "hours", "days", "weeks"],
            "bytes": ["bits"],
            "celsius": ["fahrenheit", "rankine"],
            "kelvin": ["kelvins"],
            "meters": ["inches", "yards", "miles"],
            "metres": [],
            "joules": ["calories"],
            "grams": ["pounds", "ounces"],
            "amperes": [],
            "volts": [],
        ]
        var bases: [String: String] = [:]
        for (base, units) in unitsOfBase {
            for unit in units + [base] { bases[unit] = base }
        }
        return bases
    }()

    /// As promtool knows them: it looks for `mibi` and passes over `mebi`.
    private static let prefixes = [
        "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "mega", "giga",
        "tera", "peta", "kibi", "mibi", "gibi", "tebi", "pebi",
    ]
}
