// SPDX-License-Identifier: Apache-2.0
// The units in metric names, and the base unit of each.
//
// Source: the rules of `promtool check metrics`; "Base units" of the Prometheus naming guide.

/// A unit of measurement in the name of a metric.
struct MetricUnit {
    /// The unit as spelled in the name: `milliseconds`.
    let name: String
    /// The base unit to use instead: `seconds`.
    let base: String

    /// The unit that a word names; nil if it is not a unit.
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

    /// The unit of a metric; nil if its name contains none.
    ///
    /// If the name contains several, the last one is used: a name ends in its unit.
    static func of(_ metric: String) -> MetricUnit? {
        metric.split(separator: "_").reversed().lazy.compactMap { MetricUnit($0) }.first
    }

    /// Ambiguous abbreviations of units.
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

    /// The prefixes in promtool's list: it has `mibi` but not `mebi`.
    private static let prefixes = [
        "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "mega", "giga",
        "tera", "peta", "kibi", "mibi", "gibi", "tebi", "pebi",
    ]
}
