// SPDX-License-Identifier: Apache-2.0
// The requests that tests send to the probe, and its responses.
//
//     {"families": [{"kind": "gauge", "name": "depth", "help": "Items.", "labels": ["queue"],
//                    "series": [{"values": ["in"], "numbers": ["3ff0000000000000"]}]}]}
//
// A number is written as the sixteen hexadecimal digits of its bits, so that it arrives unchanged,
// including NaN and infinities. Bytes are in base64.

import Foundation

/// The metrics to fill a new registry with.
struct ExpositionRequest: Decodable {
    let families: [FamilyRequest]
    /// Whether the registry also exposes its own metrics; false if absent.
    let hasOwnMetrics: Bool?
    /// The scrape's `Accept` and `Accept-Encoding`.
    let accept: String?
    let acceptEncoding: String?
    /// Whether the scrape requests `_created` samples.
    let creationTimes: Bool?
    /// Whether names may be any text; false if absent.
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
    /// Empty for an instrument without labels; callbacks have none.
    let labels: [String]
    /// Upper bounds of a histogram; the library's default if absent.
    let buckets: [Bits]?
    /// Native buckets of a histogram, beside the others or alone.
    let native: NativeRequest?
    let series: [SeriesRequest]
    /// The swift-metrics type that records it; a counter if absent.
    let type: SwiftMetricsKind?
}

/// The native buckets of a histogram; absent fields have the library's defaults.
struct NativeRequest: Decodable {
    let schema: Int
    let isAlone: Bool
    let limit: Int?
    let zeroThreshold: Bits?
    let maximumZeroThreshold: Bits?
}

/// One series: its labels, and the values recorded on it, in order.
struct SeriesRequest: Decodable {
    /// Label values as text, in the order of the family's labels.
    let values: [String]?
    /// Label values as bytes, instead of text: at most three.
    let utf8: [Data]?
    /// Increments of a counter, observations of a histogram, values of a gauge.
    let numbers: [Bits]
    /// Labels of an exemplar recorded with each number.
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

/// The registry's exposition and log, or the error in the request.
struct Answer: Encodable {
    var exposition: Data?
    var headers: [String: String] = [:]
    var log: [String] = []
    var error: String?
}

/// The error for an invalid request.
struct ProbeError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}
