// SPDX-License-Identifier: Apache-2.0
// The types of metric families, and the samples that each may contain.

extension Exposition {
    /// The type of a metric family.
    public enum FamilyType: String, Hashable, Sendable {
        /// A value that only increases.
        case counter
        /// A value that can go up and down.
        case gauge
        /// Cumulative buckets with their sum and count.
        case histogram
        /// Buckets of current values; OpenMetrics only.
        case gaugeHistogram = "gaugehistogram"
        /// Quantiles, sum and count.
        case summary
        /// Textual facts as labels; OpenMetrics only.
        case info
        /// Which of several states are active; OpenMetrics only.
        case stateSet = "stateset"
        /// No type, or `untyped` in the text format.
        case unknown
    }
}

extension Exposition.FamilyType {
    /// The type that a `TYPE` line names; nil if the format does not define it.
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

    /// The suffixes that sample names may add to the family's name.
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

    /// The label that distinguishes the samples of one metric; nil if the type has none.
    func distinguishingLabel(of family: String) -> String? {
        switch self {
        case .histogram, .gaugeHistogram: "le"
        case .summary: "quantile"
        case .stateSet: family
        case .counter, .gauge, .info, .unknown: nil
        }
    }

    /// All suffixes of sample names, for any type.
    static let everySuffix = [
        "_total", "_created", "_info", "_bucket", "_sum", "_count", "_gsum", "_gcount",
    ]
}
