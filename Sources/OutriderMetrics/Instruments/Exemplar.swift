// SPDX-License-Identifier: Apache-2.0
// An example of what was counted: which trace it was that took so long.

/// Labels that lead from a metric to one of the events behind it, usually a trace.
///
/// ```swift
/// duration.observe(0.2, exemplar: .trace(context.traceID))
/// orders.increment(exemplar: ["trace_id": id, "order": number])
/// ```
///
/// Shown in OpenMetrics only. Names and values together have at most 128 characters; a longer
/// exemplar, or one with a bad label name or a NUL, is refused and counted in
/// `outrider_observations_refused_total{reason}`, while the observation itself counts.
///
/// Source: OpenMetrics 1.0, "Exemplars".
public struct Exemplar: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    /// A label of an exemplar.
    private struct Label: Hashable, Sendable {
        let name: String
        let value: String
    }

    /// Unicode scalars that names and values may have together.
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

    /// A trace, and the span in it if there is one, in hexadecimal digits.
    ///
    /// The labels are `trace_id` and `span_id`, as OpenTelemetry has them.
    public static func trace(_ trace: String, span: String? = nil) -> Exemplar {
        let own: Exemplar = ["trace_id": trace]
        guard let span else { return own }
        return Exemplar(labels: own.labels + [Label(name: "span_id", value: span)])
    }

    private init(labels: [Label]) {
        self.labels = labels
    }

    /// Why it cannot be shown; nil if it can.
    var problem: RefusedObservation? {
        var names: Set<String> = []
        var length = 0
        for label in labels {
            // A NUL in an exemplar costs Prometheus the whole scrape (2.42 to 3.5).
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
        // Each scalar has at most four bytes, and twice as many once escaped.
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
