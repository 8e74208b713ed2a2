// SPDX-License-Identifier: Apache-2.0
// The parts of a family's exposition that never change, rendered when it is registered.

/// Constant bytes of one family.
struct FamilyText: Sendable {
    /// `# HELP` and `# TYPE`, each with its line feed.
    private let textHead: [UInt8]
    /// The same for OpenMetrics, and `# UNIT` where the name ends in one.
    private let openMetricsHead: [UInt8]
    /// The name of a sample: `orders_total`.
    let sample: [UInt8]
    /// The names of a histogram's samples: `x_bucket{`, `x_sum`, `x_count`.
    let bucket: [UInt8]
    let sum: [UInt8]
    let count: [UInt8]
    /// What closes a bucket's labels: `,le="0.5"} `, one for each bound and one for `+Inf`.
    let bucketEnds: [[UInt8]]
    /// Whether a histogram has a bucket below zero.
    let hasNegativeBounds: Bool
    /// Whether OpenMetrics takes it for something that only grows: then it may have exemplars.
    let isCumulative: Bool
    /// The name of the sample that tells when a series was made; empty for those without one.
    let created: [UInt8]

    /// The units by which a name may end: the base units of Prometheus.
    ///
    /// Source: "Metric and label naming" of the Prometheus documentation.
    private static let units: Set<Substring> = [
        "seconds", "bytes", "ratio", "celsius", "kelvin", "meters", "volts", "amperes", "joules",
        "grams", "moles",
    ]

    init(_ definition: MetricDefinition) {
        let name = definition.name
        textHead = Self.textHead(definition)
        openMetricsHead = Self.openMetricsHead(definition)
        hasNegativeBounds = definition.bounds.contains { $0 < 0 }
        isCumulative =
            definition.kind == .histogram
            || definition.kind == .counter && !definition.isUnknownInOpenMetrics
        created = isCumulative ? Array("\(definition.baseName)_created".utf8) : []
        sample = Array(name.utf8)
        guard definition.kind == .histogram else {
            (bucket, sum, count, bucketEnds) = ([], [], [], [])
            return
        }
        bucket = Array("\(name)_bucket{".utf8)
        sum = Array("\(name)_sum".utf8)
        count = Array("\(name)_count".utf8)
        bucketEnds = (definition.bounds + [.infinity]).map { bound in
            Array(",le=\"\(Self.text(ofBound: bound))\"} ".utf8)
        }
    }

    /// What announces the family.
    func head(_ style: ExpositionStyle) -> [UInt8] {
        style.isOpenMetrics ? openMetricsHead : textHead
    }

    private static func textHead(_ definition: MetricDefinition) -> [UInt8] {
        let name = definition.name
        let type = definition.kind == .info ? "gauge" : definition.kind.rawValue
        var head = ""
        if !definition.help.isEmpty {
            head += "# HELP \(name) \(escaped(help: definition.help, quotes: false))\n"
        }
        head += "# TYPE \(name) \(type)\n"
        return Array(head.utf8)
    }

    private static func openMetricsHead(_ definition: MetricDefinition) -> [UInt8] {
        let isUnknown = definition.isUnknownInOpenMetrics
        let name = isUnknown ? definition.name : definition.baseName
        var head = "# TYPE \(name) \(isUnknown ? "unknown" : definition.kind.rawValue)\n"
        let words = name.split(separator: "_")
        if definition.kind != .info, words.count > 1, let last = words.last, units.contains(last),
            name.hasSuffix("_\(last)")
        {
            head += "# UNIT \(name) \(last)\n"
        }
        if !definition.help.isEmpty {
            head += "# HELP \(name) \(escaped(help: definition.help, quotes: true))\n"
        }
        return Array(head.utf8)
    }

    /// The longest line of the family without its labels, in bytes.
    var longestLine: Int {
        let end = bucketEnds.map(\.count).max() ?? 0
        return max(sample.count, bucket.count, count.count, created.count) + end
            + ShortestDecimal.maximumLength
            + 4
    }

    /// A bucket's bound, always with a decimal point or an exponent: Prometheus 3 stores `1.0`,
    /// Prometheus 2 what it gets, so this is the one spelling under which both agree.
    private static func text(ofBound bound: Double) -> String {
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: ShortestDecimal.maximumLength) {
            memory, count in
            guard let start = memory.baseAddress else { return }
            // SAFETY: the memory has the length that `write` asks for.
            count = unsafe ShortestDecimal.write(bound, to: start)
        }
        let text = String(decoding: bytes, as: UTF8.self)
        return bound.isInfinite || text.contains(".") || text.contains("e") ? text : text + ".0"
    }

    private static func escaped(help: String, quotes: Bool) -> String {
        var text = ""
        for scalar in help.unicodeScalars {
            switch scalar {
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\"" where quotes: text += "\\\""
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
