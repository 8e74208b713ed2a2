// SPDX-License-Identifier: Apache-2.0
// The definition of a metric family: its name, type, help text and labels, and the rules for them.

/// The type of a metric family.
enum MetricKind: String, Sendable {
    case counter, gauge, histogram, info
    case stateSet = "stateset"

    /// The type in formats that do not have this one.
    var inText: MetricKind { self == .info || self == .stateSet ? .gauge : self }
}

/// A definition that follows the rules of the Prometheus data model.
///
/// Source: "Metric names and labels" and "Writing exporters" of the Prometheus documentation,
/// and the OpenMetrics 1.0 specification for the suffixes.
struct MetricDefinition: Sendable {
    let kind: MetricKind
    /// The name without the suffix of its type (`_total`, `_info`).
    let baseName: String
    /// The rest of the name: the suffix of its type, or nothing if the name is kept as given.
    let suffix: String
    let help: String
    /// Label names, sorted, which is the order in which they are written.
    let labels: [String]
    /// The upper bounds of a histogram's buckets; empty for other types.
    var bounds: [Double]
    /// The native buckets of a histogram; nil if it has none.
    var native: NativeBuckets?
    /// Whether each series names its own labels, as those of swift-metrics do.
    let hasOpenLabels: Bool
    /// The given names of the metric and its labels, if they are not classic names.
    private(set) var given: GivenNames?

    /// The name of the family in the text format, suffix included.
    var name: String { baseName + suffix }

    /// The maximum number of bytes in the name of a metric or a label; a longer name is refused.
    private static let longestName = 1_024
    /// The maximum number of bytes in a help text; a longer text is cut, like a label value.
    private static let longestHelp = 4_096

    /// How many lines each series has in the text format.
    var linesPerSeries: Int { kind == .histogram ? bounds.count + 3 : 1 }

    /// Every name that the family or one of its samples has, in any format and any escaping.
    var sampleNames: [String] {
        guard let given else { return sampleNames(baseName) }
        return NameEscaping.allCases.flatMap {
            sampleNames($0.escape(given.baseName, allowsColon: true))
        }
    }

    private func sampleNames(_ baseName: String) -> [String] {
        let name = baseName + suffix
        return switch kind {
        case .counter where isUnknownInOpenMetrics: [name]
        case .counter: [baseName, name, baseName + "_created"]
        case .info: [baseName, name]
        case .gauge, .stateSet: [name]
        case .histogram:
            [name, name + "_bucket", name + "_sum", name + "_count", name + "_created"]
        }
    }

    /// Whether OpenMetrics has no type for it: there, `connections_created_total` would be the
    /// family `connections_created`, a name that belongs to `connections`.
    ///
    /// It is exposed under its full name, as a family of unknown type. So is a counter that keeps a
    /// name without `_total`.
    var isUnknownInOpenMetrics: Bool {
        kind == .counter && (suffix.isEmpty || baseName.hasSuffix("_created"))
    }

    /// Checks a definition as given by a caller.
    ///
    /// The suffix of the type is optional: `orders` and `orders_total` are the same counter.
    init(
        _ kind: MetricKind, _ name: String, help: String, labels: [String] = [],
        buckets: Buckets? = nil, names: MetricNames = .classic
    ) throws(RegistrationError) {
        if names == .utf8 {
            try self.init(utf8: kind, name, help: help, labels: labels, buckets: buckets)
            return
        }
        try Self.check(kind, name, labels, given: labels, buckets)
        self.init(unchecked: kind, name, help: help, labels: labels, buckets: buckets)
        try checkReserved(given: name)
    }

    /// Checks that no sample has a name that servers reserve, in any escaping.
    private func checkReserved(given name: String) throws(RegistrationError) {
        guard let reserved = sampleNames.first(where: ReservedNames.isMetric) else { return }
        throw RegistrationError(
            code: .reservedMetricName, metric: name,
            advice: """
                Prometheus stores its own samples under the name \(reserved), which this metric would replace; choose \
                another name
                """)
    }

    /// Checks classic names; `given` are the label names as the caller gave them.
    private static func check(
        _ kind: MetricKind, _ name: String, _ labels: [String], given: [String],
        _ buckets: Buckets?
    ) throws(RegistrationError) {
        try check(name: name)
        if name == suffix(of: kind) {
            throw RegistrationError(
                code: .invalidMetricName, metric: name,
                advice: "this is only the suffix of every \(kind.rawValue); add a name before it")
        }
        try check(labels: labels, given: given, of: name)
        if let problem = buckets?.problem {
            throw RegistrationError(code: .invalidBuckets, metric: name, advice: problem)
        }
    }

    /// Checks a definition whose names may be any text.
    private init(
        utf8 kind: MetricKind, _ name: String, help: String, labels: [String], buckets: Buckets?
    ) throws(RegistrationError) {
        for (text, code) in [(name, RegistrationError.Code.invalidMetricName)]
            + labels.map({ ($0, .invalidLabelName) })
        where text.isEmpty || text.utf8.contains(0) {
            throw RegistrationError(
                code: code, metric: name,
                advice: "a name must not be empty or contain NUL; rename it")
        }
        let readable = labels.map { NameEscaping.underscores.escape(label: $0) }
        let readableName = NameEscaping.underscores.escape(name, allowsColon: true)
        try Self.check(kind, readableName, readable, given: labels, buckets)
        for escaping in NameEscaping.allCases {
            try Self.check(length: escaping.escape(name, allowsColon: true))
        }
        self.init(
            unchecked: kind, readableName, help: help, labels: readable, buckets: buckets)
        let ownSuffix = Self.suffix(of: kind)
        let isSuffixed = !ownSuffix.isEmpty && name.hasSuffix(ownSuffix)
        let base = isSuffixed ? String(name.dropLast(ownSuffix.count)) : name
        let renamed = zip(readable, labels).filter { $0 != $1 }
        if base != baseName || !renamed.isEmpty {
            given = GivenNames(
                baseName: base,
                labels: Dictionary(renamed, uniquingKeysWith: { first, _ in first }))
        }
        try checkReserved(given: name)
    }

    /// Whether `name` is the family's name, with or without the suffix of its type, in any
    /// escaping.
    func isCalled(_ name: String) -> Bool {
        NameEscaping.allCases.contains { self.name($0) == name || baseName($0) == name }
    }

    /// The name of the family in an escaping scheme, including the suffix.
    func name(_ escaping: NameEscaping) -> String {
        baseName(escaping) + suffix
    }

    /// The name in an escaping scheme, without the suffix of its type.
    func baseName(_ escaping: NameEscaping) -> String {
        given.map { escaping.escape($0.baseName, allowsColon: true) } ?? baseName
    }

    /// The classic names of labels, by the names that a caller uses.
    func readable(_ labels: [String]) -> [String] {
        given == nil ? labels : labels.map { NameEscaping.underscores.escape(label: $0) }
    }

    /// Checks the definition of a family whose series each name their own labels.
    ///
    /// - Parameter keepsName: Whether a counter without `_total` in its name keeps it as it is.
    init(
        openLabels kind: MetricKind, _ name: String, keepsName: Bool, help: String,
        buckets: Buckets?
    ) throws(RegistrationError) {
        // The rules are the same for all definitions; only the resulting name and labels differ.
        _ = try Self(kind, name, help: help, buckets: buckets)
        self.init(
            unchecked: kind, name, help: help, labels: [], buckets: buckets, hasOpenLabels: true,
            keepsName: keepsName)
    }

    /// Creates a definition without checks, for an instrument that is not exposed.
    init(
        unchecked kind: MetricKind, _ name: String, help: String, labels: [String],
        buckets: Buckets?, hasOpenLabels: Bool = false, keepsName: Bool = false
    ) {
        let suffix = Self.suffix(of: kind)
        let isSuffixed = !suffix.isEmpty && name.hasSuffix(suffix) && name != suffix
        self.kind = kind
        self.baseName = isSuffixed ? String(name.dropLast(suffix.count)) : name
        self.suffix = keepsName && !isSuffixed ? "" : suffix
        self.help = CutValue.kept(help, longest: Self.longestHelp)
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
        case .gauge, .histogram, .stateSet: ""
        }
    }

    private static func check(length name: String) throws(RegistrationError) {
        if name.utf8.count <= longestName { return }
        throw RegistrationError(
            code: .invalidMetricName, metric: String(name.prefix(100)),
            advice: "a name may have \(longestName) bytes at most, in every escaping; shorten it")
    }

    private static func check(name: String) throws(RegistrationError) {
        try check(length: name)
        guard isValid(name, allowingColon: true) else {
            throw RegistrationError(
                code: .invalidMetricName, metric: name,
                advice: """
                    a name may contain ASCII letters, digits, "_" and ":" and must not start with \
                    a digit; rename it
                    """)
        }
    }

    private static func check(
        labels: [String], given: [String], of name: String
    ) throws(RegistrationError) {
        // Two labels with the same spelling in any escaping are duplicates.
        var seen = NameEscaping.allCases.map { _ in Set<String>() }
        for (label, given) in zip(labels, given) {
            let spellings = NameEscaping.allCases.map { $0.escape(label: given) }
            if ReservedNames.isLabel(given) || spellings.contains(where: ReservedNames.isLabel) {
                throw RegistrationError(
                    code: .reservedLabelName, metric: name,
                    advice: "the label name \"\(label)\" is reserved by Prometheus; choose another")
            }
            if spellings.contains(where: { $0.utf8.count > longestName }) {
                throw RegistrationError(
                    code: .invalidLabelName, metric: name,
                    advice: """
                        a label name may have \(longestName) bytes at most, in every escaping; shorten it
                        """)
            }
            guard isValid(label, allowingColon: false) else {
                throw RegistrationError(
                    code: .invalidLabelName, metric: name,
                    advice: """
                        the label name "\(label)" may contain ASCII letters, digits and "_" and \
                        must not start with a digit; rename it
                        """)
            }
            let isNew = spellings.enumerated().allSatisfy { index, spelling in
                seen[index].insert(spelling).inserted
            }
            guard isNew else {
                throw RegistrationError(
                    code: .invalidLabelName, metric: name,
                    advice: "duplicate label name \"\(label)\"; remove one")
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

    /// For each of the sorted labels, its index in the caller's order.
    ///
    /// - Returns: Nil if the caller's order is the sorted order.
    func order(of given: [String]) -> [Int]? {
        let given = readable(given)
        let positions = labels.map { given.firstIndex(of: $0) ?? 0 }
        return positions == Array(given.indices) ? nil : positions
    }

    /// Whether both definitions name the same family, even if they differ otherwise.
    func isNamed(like other: MetricDefinition) -> Bool {
        name == other.name || baseName == other.baseName
    }

    /// Why `other` cannot share a family with this definition; nil if it can.
    func conflict(with other: MetricDefinition, given name: String) -> RegistrationError? {
        func error(_ code: RegistrationError.Code, _ what: String) -> RegistrationError {
            RegistrationError(
                code: code, metric: name,
                advice: "already registered \(what); use that definition or another name")
        }
        if given != other.given {
            return error(
                .nameTaken,
                "as \(self.name(.none)), which is exposed as \(self.name) with the labels "
                    + "\(labels.joined(separator: ", "))")
        }
        if kind != other.kind { return error(.differentType, "as a \(kind.rawValue)") }
        if self.name != other.name { return error(.nameTaken, "as \(self.name)") }
        // A definition with open labels accepts the existing help text and buckets.
        if other.hasOpenLabels { return nil }
        if hasOpenLabels {
            return error(
                .differentLabels, "by swift-metrics, where each series has its own label names")
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
