// SPDX-License-Identifier: Apache-2.0
// What a test asks for and what it is told.
//
//     {"families": [{"kind": "gauge", "name": "depth", "help": "Items.", "labels": ["queue"],
//                    "series": [{"values": ["in"], "numbers": ["3ff0000000000000"]}]}]}
//
// A number is the sixteen hexadecimal digits of its bits, so that none is changed on its way, and
// NaN and infinities have a spelling. Bytes are in base64.

import Foundation

/// The metrics that a fresh registry is to be filled with.
struct ExpositionRequest: Decodable {
    let families: [FamilyRequest]
    /// Whether the registry also exposes what it refused; not if absent.
    let reportsItself: Bool?
    /// The scrape's `Accept` and `Accept-Encoding`.
    let accept: String?
    let acceptEncoding: String?
    /// Whether the scrape asks for `_created` samples.
    let creationTimes: Bool?
    /// Whether names may be any text; not if absent.
    let hasUTF8Names: Bool?
}

/// One metric family and its series.
struct FamilyRequest: Decodable {
    enum Kind: String, Decodable {
        case counter
        case gauge
        case histogram
        case info
        case callbackCounter
        case callbackGauge
        case swiftMetrics
        case swiftMetricsVerbatim
    }

    let kind: Kind
    let name: String
    let help: String
    /// None makes an instrument without labels; callbacks have none.
    let labels: [String]
    /// Upper bounds of a histogram; the library's own if absent.
    let buckets: [Bits]?
    /// Native buckets of a histogram, beside the others or alone.
    let native: NativeRequest?
    let series: [SeriesRequest]
    /// Which type of swift-metrics records it; a counter if absent.
    let type: SwiftMetricsKind?
}

/// The native buckets of a histogram; what is absent is the library's own.
struct NativeRequest: Decodable {
    let schema: Int
    let isAlone: Bool
    let limit: Int?
    let zeroThreshold: Bits?
    let maximumZeroThreshold: Bits?
}

/// One series: its labels, and what is recorded on it, in this order.
struct SeriesRequest: Decodable {
    /// Label values as text, in the order of the family's labels.
    let values: [String]?
    /// Label values as bytes, instead of text: at most three.
    let utf8: [Data]?
    /// Increments of a counter, observations of a histogram, values of a gauge.
    let numbers: [Bits]
    /// Labels of an exemplar that goes with each number.
    let exemplar: [String: String]?
}

/// A `Double`, written as its bits.
struct Bits: Decodable {
    let value: Double

    init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard text.utf8.count == 16, let bits = UInt64(text, radix: 16) else {
            throw ProbeError("a number is sixteen hexadecimal digits, not \"\(text)\"")
        }
        value = Double(bitPattern: bits)
    }
}

/// What the registry exposes, and what it had to say; or why the request makes no sense.
struct Answer: Encodable {
    var exposition: Data?
    var headers: [String: String] = [:]
    var log: [String] = []
    var error: String?
}

/// A request that cannot be carried out.
struct ProbeError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
