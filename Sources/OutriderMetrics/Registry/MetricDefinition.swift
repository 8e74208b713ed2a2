// SPDX-License-Identifier: Apache-2.0
// What a metric family is before it has a series: name, type, help, labels, and the rules for them.

/// The type of a metric family.
enum MetricKind: String, Sendable {
    case counter, gauge, histogram, info
}

/// A definition that has passed the rules of the Prometheus data model.
///
/// Source: "Metric names and labels" and "Writing exporters" of the Prometheus documentation,
/// and the OpenMetrics 1.0 specification for the suffixes.
struct MetricDefinition: Sendable {
    let kind: MetricKind
    /// The name without the suffix of its type (`_total`, `_info`).
    let baseName: String
    /// What the name has besides: the suffix of its type, or nothing if the name is kept as given.
    let suffix: String
    let help: String
    /// Label names in the order in which they are printed: sorted.
    let labels: [String]
    /// Upper bounds of a histogram; empty for the others.
    var bounds: [Double]
    /// The native buckets of a histogram; nil if there are none.
    var native: NativeBuckets?
    /// Whether each series names its own labels, as those of swift-metrics do.
    let hasOpenLabels: Bool

    /// The name of the family in the text format, suffix included.
    var name: String { baseName + suffix }

    /// Every name that a sample or the family itself may have, in any format.
    var sampleNames: [String] {
        switch kind {
        case .counter where isUnknownInOpenMetrics: [name]
        case .counter: [baseName, name, baseName + "_created"]
        case .info: [baseName, name]
        case .gauge: [name]
        case .histogram:
            [name, name + "_bucket", name + "_sum", name + "_count", name + "_created"]
        }
    }

    /// Whether OpenMetrics has no type for it: `connections_created_total` would be the family
    /// `connections_created` there, a name that belongs to `connections`.
    ///
    /// It is shown under its whole name, as a family of unknown type. So is a counter that keeps
    /// a name without `_total`.
    var isUnknownInOpenMetrics: Bool {
        kind == .counter && (suffix.isEmpty || baseName.hasSuffix("_created"))
    }

    /// Checks a definition as a caller gave it.
    ///
    /// The suffix of the type may be there or not: `orders` and `orders_total` are one counter.
    init(
        _ kind: MetricKind, _ name: String, help: String, labels: [String] = [],
        buckets: Buckets? = nil
    ) throws(RegistrationError) {
        try Self.check(name: name)
        if name == Self.suffix(of: kind) {
            throw RegistrationError(
                code: .invalidMetricName, metric: name,
                advice: "this is the suffix of every \(kind.rawValue); say what it is of")
        }
        try Self.check(labels: labels, of: name)
        if let problem = buckets?.problem {
            throw RegistrationError(code: .invalidBuckets, metric: name, advice: problem)
        }
        self.init(unchecked: kind, name, help: help, labels: labels, buckets: buckets)
    }

    /// Checks a definition of a family whose series each name their own labels.
    ///
    /// - Parameter keepsName: Whether a counter goes without `_total` if the name does.
    init(
        openLabels kind: MetricKind, _ name: String, keepsName: Bool, help: String,
        buckets: Buckets?
    ) throws(RegistrationError) {
        // The rules are those of any definition; only what comes of the name and labels differs.
        _ = try Self(kind, name, help: help, buckets: buckets)
        self.init(
            unchecked: kind, name, help: help, labels: [], buckets: buckets, hasOpenLabels: true,
            keepsName: keepsName)
    }

    /// A definition that is not checked, for an instrument that will not be exposed.
    init(
        unchecked kind: MetricKind, _ name: String, help: String, labels: [String],
        buckets: Buckets?, hasOpenLabels: Bool = false, keepsName: Bool = false
    ) {
        let suffix = Self.suffix(of: kind)
        let isSuffixed = !suffix.isEmpty && name.hasSuffix(suffix) && name != suffix
        self.kind = kind
        self.baseName = isSuffixed ? String(name.dropLast(suffix.count)) : name
        self.suffix = keepsName && !isSuffixed ? "" : suffix
        self.help = help
        self.labels = labels.sorted()
        self.hasOpenLabels = hasOpenLabels
        if let buckets {
            let usable = buckets.problem == nil ? buckets : .default
            bounds = usable.bounds
            native = usable.native
        } else {
            bounds = []
            native = nil
        }
    }

    private static func suffix(of kind: MetricKind) -> String {
        switch kind {
        case .counter: "_total"
        case .info: "_info"
        case .gauge, .histogram: ""
        }
    }

    private static func check(name: String) throws(RegistrationError) {
        guard isValid(name, allowingColon: true) else {
            throw RegistrationError(
                code: .invalidMetricName, metric: name,
                advice: """
                    a name has ASCII letters, digits, "_" and ":" and does not start with a \
                    digit; rename it
                    """)
        }
    }

    private static func check(labels: [String], of name: String) throws(RegistrationError) {
        var seen: Set<String> = []
        for label in labels {
            if label.hasPrefix("__") || label == "le" || label == "quantile" {
                throw RegistrationError(
                    code: .reservedLabelName, metric: name,
                    advice: "the label name \"\(label)\" belongs to Prometheus; choose another")
            }
            guard isValid(label, allowingColon: false) else {
                throw RegistrationError(
                    code: .invalidLabelName, metric: name,
                    advice: """
                        the label name "\(label)" must have ASCII letters, digits and "_" and \
                        not start with a digit; rename it
                        """)
            }
            guard seen.insert(label).inserted else {
                throw RegistrationError(
                    code: .invalidLabelName, metric: name,
                    advice: "the label name \"\(label)\" is there twice; leave one out")
            }
        }
    }

    static func isValid(_ name: String, allowingColon: Bool) -> Bool {
        guard let first = name.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"): true
            case UInt8(ascii: ":"): allowingColon
            default: false
            }
        }
    }

    /// Where each of the sorted labels stands in the order in which a caller names them.
    ///
    /// - Returns: Nil if the caller's order is the sorted one.
    func order(of given: [String]) -> [Int]? {
        let positions = labels.map { given.firstIndex(of: $0) ?? 0 }
        return positions == Array(given.indices) ? nil : positions
    }

    /// Whether both mean the same family by their names, whatever else they say.
    func isNamed(like other: MetricDefinition) -> Bool {
        name == other.name || baseName == other.baseName
    }

    /// Why `other` cannot share a family with this one; nil if they are the same.
    func conflict(with other: MetricDefinition, given name: String) -> RegistrationError? {
        func error(_ code: RegistrationError.Code, _ what: String) -> RegistrationError {
            RegistrationError(
                code: code, metric: name,
                advice: "it is registered already, \(what); use that definition or another name")
        }
        if kind != other.kind { return error(.differentType, "as a \(kind.rawValue)") }
        if self.name != other.name { return error(.nameTaken, "as \(self.name)") }
        // Whoever names labels series by series takes the help and the buckets that are there.
        if other.hasOpenLabels { return nil }
        if hasOpenLabels {
            return error(.differentLabels, "by swift-metrics, which names labels series by series")
        }
        if help != other.help { return error(.differentHelp, "with the help text \"\(help)\"") }
        if labels != other.labels {
            let list = labels.isEmpty ? "no labels" : "the labels \(labels.joined(separator: ", "))"
            return error(.differentLabels, "with \(list)")
        }
        if bounds != other.bounds {
            return error(.differentBuckets, "with the buckets \(bounds)")
        }
        if native != other.native {
            return error(
                .differentBuckets,
                native.map { "with native buckets of the schema \($0.schema)" }
                    ?? "without native buckets")
        }
        return nil
    }
}
