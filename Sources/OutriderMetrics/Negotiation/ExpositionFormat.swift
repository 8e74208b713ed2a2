// SPDX-License-Identifier: Apache-2.0
// Which of our formats a scraper is given, by what it says in Accept.
//
// A scraper that asks for nothing we have gets the text format, and so does a person with curl:
// an answer that somebody may read beats a 406 that a dashboard shows as a gap.

/// A format in a version, as media types tell them apart.
enum ExpositionFormat: CaseIterable {
    // In the order in which they are preferred where a scraper has no preference.
    case text
    case openMetrics
    case openMetrics001
    case text100
    /// `io.prometheus.client.MetricFamily`, each after its length.
    case protobuf

    /// Whether the bytes are OpenMetrics.
    var isOpenMetrics: Bool { self == .openMetrics || self == .openMetrics001 }

    /// Whether it is for those too who do not ask for this very version.
    fileprivate var isOfferedUnasked: Bool { self == .text || self == .openMetrics }

    fileprivate var type: String {
        self == .text || self == .text100 ? "text" : "application"
    }

    fileprivate var mediaType: String {
        switch self {
        case .text, .text100: "text/plain"
        case .openMetrics, .openMetrics001: "application/openmetrics-text"
        case .protobuf: "application/vnd.google.protobuf"
        }
    }

    /// The parameters that tell it from other formats of its media type.
    fileprivate var parameters: [(name: String, value: String)] {
        switch self {
        case .text: [("version", "0.0.4")]
        case .openMetrics, .text100: [("version", "1.0.0")]
        case .openMetrics001: [("version", "0.0.1")]
        case .protobuf:
            [("proto", "io.prometheus.client.MetricFamily"), ("encoding", "delimited")]
        }
    }

    /// Whether its bytes are text.
    fileprivate var isText: Bool { self != .protobuf }
}

/// A format, and how the scraper wants names to be escaped that need it.
///
/// Nil where it does not say: then it is given names that everybody can read.
struct NegotiatedFormat: Equatable {
    let format: ExpositionFormat
    let escaping: NameEscaping?

    /// The media type with its parameters, for `Content-Type`.
    var contentType: String {
        let suffix = escaping.map { "; escaping=\($0.rawValue)" } ?? ""
        let parameters = format.parameters.map { "; \($0.name)=\($0.value)" }.joined()
        return format.mediaType + parameters + (format.isText ? "; charset=utf-8" : "") + suffix
    }

    /// The format that suits `accept` best; the text format if there is no such field.
    ///
    /// The most specific range that matches a format gives it its weight (RFC 9110, 12.5.1). Among
    /// equal weights the more specific range wins, then the one that comes first.
    static func best(for accept: String?) -> NegotiatedFormat {
        let ranges = WeightedItem.list(accept ?? "")
        var best: (format: ExpositionFormat, match: Match)?
        for format in ExpositionFormat.allCases {
            guard let match = Match.best(for: format, in: ranges), match.quality > 0 else {
                continue
            }
            if best.map({ $0.match < match }) ?? true { best = (format, match) }
        }
        guard let best else { return NegotiatedFormat(format: .text, escaping: nil) }
        let scheme = ranges[best.match.position].parameter("escaping")
        return NegotiatedFormat(
            format: best.format, escaping: scheme.flatMap(NameEscaping.init(rawValue:)))
    }
}

/// How well a media range matches a format.
private struct Match {
    let quality: Int
    let specificity: Int
    let position: Int

    static func < (first: Match, second: Match) -> Bool {
        // An earlier position is better, and so the larger one here.
        (first.quality, first.specificity, -first.position)
            < (second.quality, second.specificity, -second.position)
    }

    /// The most specific range that matches `format`.
    static func best(for format: ExpositionFormat, in ranges: [WeightedItem]) -> Match? {
        var best: Match?
        for (position, range) in ranges.enumerated() {
            guard let specificity = specificity(of: range, for: format),
                specificity > best?.specificity ?? -1
            else { continue }
            best = Match(
                quality: range.quality, specificity: specificity, position: position)
        }
        return best
    }

    private static func specificity(of range: WeightedItem, for format: ExpositionFormat) -> Int? {
        switch range.name {
        case format.mediaType
        where format.parameters.allSatisfy({ range.parameter($0.name) == $0.value }): 3
        case _ where !format.isOfferedUnasked: nil
        case format.mediaType where range.parameter("version") == nil: 2
        case "\(format.type)/*": 1
        case "*/*", "*": 0
        default: nil
        }
    }
}
