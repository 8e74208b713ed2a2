// SPDX-License-Identifier: Apache-2.0
// The mapping of swift-metrics labels and dimensions, which may be any text, to Prometheus names.

/// The kinds of swift-metrics handlers that differ in how a name is made.
enum HandlerForm: UInt8, Hashable, Sendable {
    case counter, gauge, timer, recorder

    var kind: MetricKind {
        switch self {
        case .counter: .counter
        case .gauge: .gauge
        case .timer, .recorder: .histogram
        }
    }
}

/// The validated configuration of a factory.
struct NamingRules: Sendable {
    /// The maximum length of a label in bytes; a longer one is refused.
    static let longestLabel = 1_000

    let naming: OutriderMetricsFactory.Naming
    let limit: SeriesLimit
    private let buckets: [OutriderMetricsFactory.BucketRule]
    private let timerBuckets: Buckets
    private let recorderBuckets: Buckets

    /// Calls `refuse` for each invalid set of buckets, with its name and the problem.
    init(
        _ configuration: OutriderMetricsFactory.Configuration,
        refuse: (_ name: String, _ problem: String) -> Void
    ) {
        let defaults = OutriderMetricsFactory.Configuration()
        func checked(_ buckets: Buckets, _ name: String, else others: Buckets) -> Buckets {
            guard let problem = buckets.problem else { return buckets }
            refuse(name, problem)
            return others
        }
        naming = configuration.naming
        limit = configuration.limit
        buckets = configuration.buckets.filter { rule in
            guard let problem = rule.buckets.problem else { return true }
            refuse(rule.pattern, problem)
            return false
        }
        timerBuckets = checked(
            configuration.defaultTimerBuckets, "defaultTimerBuckets",
            else: defaults.defaultTimerBuckets)
        recorderBuckets = checked(
            configuration.defaultRecorderBuckets, "defaultRecorderBuckets",
            else: defaults.defaultRecorderBuckets)
    }

    /// The definition of the family for a swift-metrics label.
    func definition(
        _ form: HandlerForm, _ label: String
    ) throws(RegistrationError) -> MetricDefinition {
        if label.utf8.count > Self.longestLabel {
            throw RegistrationError(
                code: .invalidMetricName, metric: Self.shown(label),
                advice:
                    "a swift-metrics label may have \(Self.longestLabel) bytes at most; shorten it")
        }
        var name = sanitised(label, allowingColon: true)
        if form == .timer, !naming.keepsNames, !name.hasSuffix("_seconds") { name += "_seconds" }
        return try MetricDefinition(
            openLabels: form.kind, name, keepsName: naming.keepsNames,
            help: Self.help(form, label),
            buckets: form.kind == .histogram ? buckets(form, label, name) : nil)
    }

    private func buckets(_ form: HandlerForm, _ label: String, _ name: String) -> Buckets {
        let rule = buckets.first { $0.matches(label) || $0.matches(name) }
        return rule?.buckets ?? (form == .timer ? timerBuckets : recorderBuckets)
    }

    private static func help(_ form: HandlerForm, _ label: String) -> String {
        let what =
            switch form {
            case .counter: "Counter"
            case .gauge: "Gauge"
            case .timer: "Timer"
            case .recorder: "Recorder"
            }
        return "\(what) \(shown(label)) from swift-metrics."
    }

    /// A label for display in a line of text.
    static func shown(_ label: String) -> String {
        var text = String.UnicodeScalarView()
        for scalar in label.unicodeScalars.prefix(200) {
            text.append(scalar.properties.generalCategory == .control ? " " : scalar)
        }
        return String(text)
    }

    /// A valid Prometheus name: `_` replaces every other character, and an empty name becomes `_`.
    func sanitised(_ name: String, allowingColon: Bool) -> String {
        if MetricDefinition.isValid(name, allowingColon: allowingColon) { return name }
        var valid = ""
        for character in name {
            switch character.asciiValue ?? 0 {
            case 0x30...0x39 where valid.isEmpty:
                // Verbatim names follow swift-prometheus, which drops the digit.
                valid += naming.keepsNames ? "_" : "_\(character)"
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: valid.append(character)
            case UInt8(ascii: ":") where allowingColon: valid.append(character)
            default: valid.append("_")
            }
        }
        return valid.isEmpty ? "_" : valid
    }

    /// The dimensions as labels, sorted by name.
    ///
    /// Of two dimensions with the same name, the last one wins. If different names become the same
    /// label name, their values are joined, in the order of the original names: `a.b` and `a-b` may
    /// be two facts.
    func labels(of dimensions: [(String, String)]) -> SeriesLabels {
        var given: [String: String] = [:]
        for (name, value) in dimensions { given[name] = value }
        let sorted = given.map { name, value in
            (name: labelName(name), given: name, value: value)
        }.sorted { ($0.name, $0.given) < ($1.name, $1.given) }
        var labels = SeriesLabels(hasDuplicates: given.count != dimensions.count)
        for (name, _, value) in sorted {
            if name == labels.names.last {
                labels.values[labels.values.count - 1] += ";" + value
            } else {
                labels.names.append(name)
                labels.values.append(value)
            }
        }
        return labels
    }

    private func labelName(_ name: String) -> String {
        let valid = sanitised(name, allowingColon: false)
        let isReserved = valid == "le" || valid == "quantile" || valid.hasPrefix("__")
        return isReserved ? "exported_" + valid : valid
    }
}

/// The labels of a series, sorted by name, including those with an empty value.
struct SeriesLabels {
    var names: [String] = []
    var values: [String] = []
    /// Whether a name occurred twice in the dimensions, so that their order matters.
    let hasDuplicates: Bool

    /// The rendered labels, and the number of values that were cut; nil if they are too long.
    func rendered(longest: Int) -> (key: [UInt8], cuts: Int)? {
        unsafe LabelBlock.withRendered(
            heads: LabelHeads(names), values: values.span, order: nil, longest: longest
        ) { block, cuts in
            (unsafe Array(block), cuts)
        }
    }
}
