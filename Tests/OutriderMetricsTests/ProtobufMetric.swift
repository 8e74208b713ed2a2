// SPDX-License-Identifier: Apache-2.0
// A minimal parser for the protobuf format: the fields that these tests need.
//
// Source: io/prometheus/client/metrics.proto of the Prometheus client model.

import OutriderMetrics

/// One series of a counter or histogram family.
struct ProtobufMetric {
    /// The Accept header that selects this format.
    static let type =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

    let family: String
    var labels: [String: String] = [:]
    /// The value of a counter.
    var value = 0.0
    /// A histogram's number of observations, their sum, and the schema of its native buckets.
    var count = 0
    var sum = 0.0
    var schema = 0
    /// The creation time, in seconds since the epoch.
    var created = 0.0

    /// All series of a scrape, in printed order.
    static func all(in response: ScrapeResponse) -> [ProtobufMetric] {
        var metrics: [ProtobufMetric] = []
        var body = response.body[...]
        while !body.isEmpty {
            let length = Int(varint(&body))
            let family = Message(body.prefix(length))
            body = body.dropFirst(length)
            metrics += family[4].map { ProtobufMetric(family.text(1), Message($0.bytes)) }
        }
        return metrics
    }

    private init(_ family: String, _ metric: Message) {
        self.family = family
        for pair in metric[1].map({ Message($0.bytes) }) { labels[pair.text(1)] = pair.text(2) }
        if let counter = metric.message(3) {
            value = counter.double(1)
            created = Self.time(counter.message(3))
        }
        if let histogram = metric.message(7) {
            count = Int(histogram.number(1))
            sum = histogram.double(2)
            let zigzag = histogram.number(5)
            schema = Int(zigzag >> 1) ^ -Int(zigzag & 1)
            created = Self.time(histogram.message(15))
        }
    }

    private static func time(_ message: Message?) -> Double {
        message.map { Double($0.number(1)) + Double($0.number(2)) / 1e9 } ?? 0
    }

    fileprivate static func varint(_ bytes: inout ArraySlice<UInt8>) -> UInt64 {
        var (value, shift): (UInt64, UInt64) = (0, 0)
        while let byte = bytes.popFirst() {
            value |= UInt64(byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 { break }
        }
        return value
    }
}

/// The fields of a message, by number.
private struct Message {
    typealias Field = (number: UInt64, bytes: ArraySlice<UInt8>)

    private var fields: [Int: [Field]] = [:]

    init(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while !rest.isEmpty {
            let tag = ProtobufMetric.varint(&rest)
            var field: Field = (0, [])
            switch tag & 7 {
            case 0: field.number = ProtobufMetric.varint(&rest)
            case 1:
                for (index, byte) in rest.prefix(8).enumerated() {
                    field.number |= UInt64(byte) << (8 * index)
                }
                rest = rest.dropFirst(8)
            default:
                let length = Int(ProtobufMetric.varint(&rest))
                field.bytes = rest.prefix(length)
                rest = rest.dropFirst(length)
            }
            fields[Int(tag >> 3), default: []].append(field)
        }
    }

    subscript(number: Int) -> [Field] { fields[number] ?? [] }

    func number(_ field: Int) -> UInt64 { self[field].first?.number ?? 0 }

    func double(_ field: Int) -> Double { Double(bitPattern: number(field)) }

    func text(_ field: Int) -> String {
        String(decoding: self[field].first?.bytes ?? [], as: UTF8.self)
    }

    func message(_ field: Int) -> Message? { self[field].first.map { Message($0.bytes) } }
}
