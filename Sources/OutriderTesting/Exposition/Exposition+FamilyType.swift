// SPDX-License-Identifier: Apache-2.0
// The types of metric families and what samples each may have.

extension Exposition {
    /// The type of a metric family.
    public enum FamilyType: String, Hashable, Sendable {
        /// A number that only grows.
        case counter
        /// A number that goes up and down.
        case gauge
        /// Cumulative buckets, their sum and their count.
        case histogram
        /// Buckets of what is there now; OpenMetrics only.
        case gaugeHistogram = "gaugehistogram"
        /// Quantiles, sum and count.
        case summary
        /// Facts that are text; OpenMetrics only.
        case info
        /// Which of some states hold; OpenMetrics only.
        case stateSet = "stateset"
        /// No type, or `untyped` as the text format calls it.
        case unknown
    }
}

extension Exposition.FamilyType {
    /// The type as a `TYPE` line names it; nil if the format has no such type.
    init?(named word: String, in format: Exposition.Format) {
        switch format {
        case .text:
            switch word {
            case "counter": self = .counter
            case "gauge": self = .gauge
            case "histogram": self = .histogram
            case "summary": self = .summary
            case "untyped": self = .unknown
            default: return nil
            }
        case .openMetrics:
            self.init(rawValue: word)
        }
    }

    /// The word that names the type on a `TYPE` line.
    func word(in format: Exposition.Format) -> String {
        self == .unknown && format == .text ? "untyped" : rawValue
    }

    /// What may follow the family's name in the name of a sample.
    func suffixes(in format: Exposition.Format) -> [String] {
        let isText = format == .text
        return switch self {
        case .counter: isText ? [""] : ["_total", "_created"]
        case .gauge, .stateSet, .unknown: [""]
        case .info: ["_info"]
        case .histogram: ["_bucket", "_sum", "_count"] + (isText ? [] : ["_created"])
        case .gaugeHistogram: ["_bucket", "_gsum", "_gcount"]
        case .summary: ["", "_sum", "_count"] + (isText ? [] : ["_created"])
        }
    }

    /// The label that tells the samples of one metric apart; nil if the type has none.
    func distinguishingLabel(of family: String) -> String? {
        switch self {
        case .histogram, .gaugeHistogram: "le"
        case .summary: "quantile"
        case .stateSet: family
        case .counter, .gauge, .info, .unknown: nil
        }
    }

    /// Every suffix that a sample of some type may have.
    static let everySuffix = [
        "_total", "_created", "_info", "_bucket", "_sum", "_count", "_gsum", "_gcount",
    ]
}
