// SPDX-License-Identifier: Apache-2.0
// The constant parts of a family's exposition, rendered when it is registered.

/// The constant bytes of one family, for each escaping scheme.
struct FamilyTexts: Sendable {
    /// For classic names.
    let plain: FamilyText
    /// For the given names, by escaping scheme; empty if they are classic names.
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

    /// The bytes for an escaping scheme.
    subscript(_ escaping: NameEscaping) -> FamilyText { others[escaping] ?? plain }
}

/// The constant bytes of one family.
final class FamilyText: Sendable {
    /// Whether the sample name is in quotation marks, among the labels.
    let isQuoted: Bool
    /// The exposed label names, as they are before `=`, by rendered label name; only those that
    /// differ.
    let labelNames: [[UInt8]: [UInt8]]
    /// `# HELP` and `# TYPE`, each with a line feed.
    private let textHead: [UInt8]
    /// The same for OpenMetrics, and `# UNIT` if the name ends in a unit.
    private let openMetricsHead: [UInt8]
    /// The name of a sample: `orders_total`.
    let sample: [UInt8]
    /// The names of a histogram's samples: `x_bucket{`, `x_sum`, `x_count`.
    let bucket: [UInt8]
    let sum: [UInt8]
    let count: [UInt8]
    /// The end of a bucket's labels, `,le="0.5"} `: one for each bound and one for `+Inf`.
    let bucketEnds: [[UInt8]]
    /// Whether a histogram has a bucket bound below zero.
    let hasNegativeBounds: Bool
    /// Whether OpenMetrics has a cumulative type for it, which may have exemplars.
    let isCumulative: Bool
    /// The name of the `_created` sample; empty if there is none.
    let created: [UInt8]

    /// The units that a name may end in: the base units of Prometheus.
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

    /// Calls `body` with the labels in this escaping scheme, which are copied only if they differ.
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

    /// How many bytes longer the labels of a series may become.
    var labelGrowth: Int {
        labelNames.reduce(0) { $0 + max(0, $1.value.count - $1.key.count) }
    }

    /// The lines before the samples of the family.
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

    /// The length of the longest line of the family without its labels, in bytes.
    var longestLine: Int {
        let end = bucketEnds.map(\.count).max() ?? 0
        return max(sample.count, bucket.count, count.count, created.count) + end
            + ShortestDecimal.maximumLength
            + labelGrowth + 6
    }

    /// A bucket's bound, always with a decimal point or an exponent: Prometheus 3 stores `1.0`, and
    /// Prometheus 2 stores the text as received, so only this spelling is the same in both.
    private static func text(ofBound bound: Double) -> String {
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: ShortestDecimal.maximumLength) {
            memory, count in
            guard let start = memory.baseAddress else { return }
            // SAFETY: the memory has the length that `write` requires.
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
