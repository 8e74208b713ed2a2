// SPDX-License-Identifier: Apache-2.0
// Negotiation of the exposition format by the Accept header.
//
// A client that accepts none of the formats gets the text format: a response that may be readable
// is better than a 406, which leaves a gap in the dashboard.

/// A version of a format, as media types distinguish them.
enum ExpositionFormat: CaseIterable {
    // The order decides between formats that the same media range matches.
    case text
    case openMetrics
    case openMetrics001
    case text100
    /// `io.prometheus.client.MetricFamily` messages, each preceded by its length.
    case protobuf

    /// Whether the bytes are OpenMetrics.
    var isOpenMetrics: Bool { self == .openMetrics || self == .openMetrics001 }

    /// Whether wildcards and ranges without a version select this format.
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

    /// The parameters that distinguish it from other formats of its media type.
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

/// A format, and the escaping scheme for names that need escaping.
///
/// The scheme is nil if the scraper names none, or an unknown one; then names are escaped with
/// underscores.
struct NegotiatedFormat: Equatable {
    let format: ExpositionFormat
    let escaping: NameEscaping?

    /// The media type and its parameters, for `Content-Type`.
    var contentType: String {
        let suffix = escaping.map { "; escaping=\($0.rawValue)" } ?? ""
        let parameters = format.parameters.map { "; \($0.name)=\($0.value)" }.joined()
        return format.mediaType + parameters + (format.isText ? "; charset=utf-8" : "") + suffix
    }

    /// The format that matches `accept` best; the text format if nothing matches.
    ///
    /// The weight of a format is that of the most specific range that matches it (RFC 9110,
    /// 12.5.1). Among equal weights, the more specific range wins, then the earlier
    /// range, then the earlier case.
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
        // An earlier position is better, so it must compare as the larger one here.
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
