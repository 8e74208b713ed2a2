// SPDX-License-Identifier: Apache-2.0
// An exemplar: an example of what was counted, such as the trace of a slow request.

/// Labels that link a metric to one of the events it counted, usually a trace.
///
/// ```swift
/// duration.observe(0.2, exemplar: .trace(context.traceID))
/// orders.increment(exemplar: ["trace_id": id, "order": number])
/// ```
///
/// Exposed in OpenMetrics and protobuf only. Names and values together have at most 128 characters.
/// A longer exemplar, or one with an invalid label name or a NUL, is refused and counted in
/// `outrider_observations_refused_total{reason}`; the observation itself still counts.
///
/// Source: OpenMetrics 1.0, "Exemplars".
public struct Exemplar: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    /// A label of an exemplar.
    private struct Label: Hashable, Sendable {
        let name: String
        let value: String
    }

    /// The maximum number of Unicode scalars in all names and values together.
    public static let lengthLimit = 128

    private let labels: [Label]

    /// An exemplar with these labels, in this order.
    public init(dictionaryLiteral labels: (String, String)...) {
        self.labels = labels.map(Label.init)
    }

    /// An exemplar with these labels, by name.
    public init(_ labels: [String: String]) {
        self.labels = labels.sorted { $0.key < $1.key }.map(Label.init)
    }

    /// The ID of a trace, and of a span in it if given, in hexadecimal digits.
    ///
    /// The labels are `trace_id` and `span_id`, as in OpenTelemetry.
    public static func trace(_ trace: String, span: String? = nil) -> Exemplar {
        let own: Exemplar = ["trace_id": trace]
        guard let span else { return own }
        return Exemplar(labels: own.labels + [Label(name: "span_id", value: span)])
    }

    private init(labels: [Label]) {
        self.labels = labels
    }

    /// Why the exemplar cannot be exposed; nil if it can.
    var problem: RefusedObservation? {
        var names: Set<String> = []
        var length = 0
        for label in labels {
            // A NUL in an exemplar makes Prometheus (2.42 to 3.5) reject the whole scrape.
            guard MetricDefinition.isValid(label.name, allowingColon: false),
                names.insert(label.name).inserted, !label.value.utf8.contains(0)
            else { return .invalidExemplar }
            length += label.name.unicodeScalars.count + label.value.unicodeScalars.count
            if length > Self.lengthLimit { return .exemplarTooLong }
        }
        return nil
    }

    /// The end of a sample's line: ` # {trace_id="4bf9"} 0.2 1700000000.5`.
    func rendered(value: Double, at secondsSinceEpoch: Double) -> [UInt8] {
        // A scalar has at most four bytes, and at most twice as many when escaped.
        let room = 64 + labels.count * 4 + Self.lengthLimit * 8 + ShortestDecimal.maximumLength * 2
        return unsafe [UInt8](unsafeUninitializedCapacity: room) { memory, count in
            var writer = unsafe ByteWriter(memory)
            writer.append(" # {")
            for (position, label) in labels.enumerated() {
                if position > 0 { writer.append(UInt8(ascii: ",")) }
                writer.append(Array(label.name.utf8))
                writer.append("=\"")
                writer.appendEscaped(label.value)
                writer.append(UInt8(ascii: "\""))
            }
            writer.append("} ")
            writer.append(value)
            writer.append(UInt8(ascii: " "))
            writer.append((secondsSinceEpoch * 1000).rounded() / 1000)
            count = writer.count
        }
    }
}
