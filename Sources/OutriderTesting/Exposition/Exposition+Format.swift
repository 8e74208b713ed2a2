// SPDX-License-Identifier: Apache-2.0
// The two supported formats, and their content types.

extension Exposition {
    /// An exposition format.
    public enum Format: Hashable, Sendable {
        /// The Prometheus text format, version 0.0.4.
        case text
        /// The text format of OpenMetrics, version 1.0.0.
        case openMetrics
    }
}

extension Exposition.Format {
    /// The format that a `Content-Type` names.
    init(contentType: String) throws(ExpositionError) {
        let parts = contentType.split(separator: ";").map(Self.trimmed)
        let versions: [String]
        switch parts.first?.lowercased() {
        case "text/plain":
            self = .text
            versions = ["0.0.4"]
        case "application/openmetrics-text":
            self = .openMetrics
            versions = ["1.0.0", "0.0.1"]
        default:
            throw ExpositionError(
                line: nil,
                problem: """
                    the content type "\(contentType)" is neither text/plain nor \
                    application/openmetrics-text
                    """)
        }
        for parameter in parts.dropFirst() {
            let pair = parameter.split(separator: "=", maxSplits: 1).map(Self.trimmed)
            guard pair.count == 2 else { continue }
            let value = pair[1].filter { $0 != "\"" }
            let isRight =
                switch pair[0].lowercased() {
                case "version": versions.contains(value)
                case "charset": value.lowercased() == "utf-8"
                default: true
                }
            if !isRight {
                throw ExpositionError(
                    line: nil,
                    problem: "the content type \"\(contentType)\" has an unsupported \(pair[0])"
                )
            }
        }
    }

    private static func trimmed(_ text: Substring) -> String {
        let start = text.drop { $0 == " " || $0 == "\t" }
        let kept = start.reversed().drop { $0 == " " || $0 == "\t" }
        return String(kept.reversed())
    }
}
