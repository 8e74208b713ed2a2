// SPDX-License-Identifier: Apache-2.0
// The parts of a family's exposition that never change, rendered when it is registered.

/// The constant bytes of one family, for each escaping of its names.
struct FamilyTexts: Sendable {
    /// For names that everybody can read.
    let plain: FamilyText
    /// For names that were given, in an escaping; none where they are those.
    private let others: [NameEscaping: FamilyText]

    init(_ definition: MetricDefinition) {
        plain = FamilyText(definition, .underscores)
        others =
            definition.given == nil
            ? [:]
            : Dictionary(
                uniqueKeysWithValues: [.none, .dots, .values].map {
                    ($0, FamilyText(definition, $0))
                })
    }

    /// The bytes for an escaping.
    subscript(_ escaping: NameEscaping) -> FamilyText { others[escaping] ?? plain }
}

/// Constant bytes of one family.
final class FamilyText: Sendable {
    /// Whether the name of a sample is in quotation marks, and stands among the labels.
    let isQuoted: Bool
    /// What labels are called instead, as they stand before `=`, by the bytes that they are rendered
    /// with; those that differ alone.
    let labelNames: [[UInt8]: [UInt8]]
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

    init(_ definition: MetricDefinition, _ escaping: NameEscaping) {
        let name = definition.name(escaping)
        isQuoted =
            escaping == .none && !MetricDefinition.isValid(name, allowingColon: true)
        let isQuoted = isQuoted
        func sampleName(_ name: String) -> [UInt8] {
            isQuoted ? Self.quoted(name) : Array(name.utf8)
        }
        labelNames = Self.labelNames(definition, escaping)
        let shown = isQuoted ? String(decoding: Self.quoted(name), as: UTF8.self) : name
        textHead = Self.textHead(definition, shown)
        openMetricsHead = Self.openMetricsHead(definition, escaping, isQuoted: isQuoted)
        hasNegativeBounds = definition.bounds.contains { $0 < 0 }
        isCumulative =
            definition.kind == .histogram
            || definition.kind == .counter && !definition.isUnknownInOpenMetrics
        created = isCumulative ? sampleName("\(definition.baseName(escaping))_created") : []
        sample = sampleName(name)
        guard definition.kind == .histogram else {
            (bucket, sum, count, bucketEnds) = ([], [], [], [])
            return
        }
        bucket =
            isQuoted
            ? Array("{".utf8) + Self.quoted("\(name)_bucket") + Array(",".utf8)
            : Array("\(name)_bucket{".utf8)
        sum = sampleName("\(name)_sum")
        count = sampleName("\(name)_count")
        bucketEnds = (definition.bounds + [.infinity]).map { bound in
            Array(",le=\"\(Self.text(ofBound: bound))\"} ".utf8)
        }
    }

    /// Calls `body` with labels as this escaping shows them; without a copy where that is as they are.
    @inline(__always)
    func withShown<Result>(
        _ labels: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) -> Result
    ) -> Result {
        if labelNames.isEmpty { return unsafe body(labels) }
        return unsafe renamed(labels).withUnsafeBufferPointer { unsafe body($0) }
    }

    private func renamed(_ labels: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var shown: [UInt8] = []
        unsafe LabelBlock.forEachLabel(in: labels) { name, value in
            if !shown.isEmpty { shown.append(UInt8(ascii: ",")) }
            let own = unsafe Array(name)
            shown += labelNames[own] ?? own
            shown += "=\"".utf8
            unsafe shown.append(contentsOf: value)
            shown.append(UInt8(ascii: "\""))
        }
        return shown
    }

    /// Bytes by which the labels of a series may become longer.
    var labelGrowth: Int {
        labelNames.reduce(0) { $0 + max(0, $1.value.count - $1.key.count) }
    }

    /// What announces the family.
    func head(_ style: ExpositionStyle) -> [UInt8] {
        style.isOpenMetrics ? openMetricsHead : textHead
    }

    private static func quoted(_ name: String) -> [UInt8] {
        Array("\"".utf8) + LabelBlock.escaped(name) + Array("\"".utf8)
    }

    private static func labelNames(
        _ definition: MetricDefinition, _ escaping: NameEscaping
    ) -> [[UInt8]: [UInt8]] {
        guard let given = definition.given, escaping != .underscores else { return [:] }
        return Dictionary(
            uniqueKeysWithValues: given.labels.keys.map { label in
                let name = given.label(label, escaping)
                return (Array(label.utf8), escaping == .none ? quoted(name) : Array(name.utf8))
            })
    }

    private static func textHead(_ definition: MetricDefinition, _ name: String) -> [UInt8] {
        let type = definition.kind.inText.rawValue
        var head = ""
        if !definition.help.isEmpty {
            head += "# HELP \(name) \(escaped(help: definition.help, quotes: false))\n"
        }
        head += "# TYPE \(name) \(type)\n"
        return Array(head.utf8)
    }

    private static func openMetricsHead(
        _ definition: MetricDefinition, _ escaping: NameEscaping, isQuoted: Bool
    ) -> [UInt8] {
        let isUnknown = definition.isUnknownInOpenMetrics
        let own = isUnknown ? definition.name(escaping) : definition.baseName(escaping)
        let name = isQuoted ? String(decoding: quoted(own), as: UTF8.self) : own
        var head = "# TYPE \(name) \(isUnknown ? "unknown" : definition.kind.rawValue)\n"
        let words = own.split(separator: "_")
        if definition.kind.inText == definition.kind, words.count > 1, let last = words.last,
            units.contains(last),
            own.hasSuffix("_\(last)")
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
            + labelGrowth + 6
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
