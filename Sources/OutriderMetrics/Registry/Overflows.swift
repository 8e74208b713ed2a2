// SPDX-License-Identifier: Apache-2.0
// Reports about families that reached their limit: lookup counts, and the label that grows.
//
// The families hold the counts. So there are no more counts than families, and unregistering a
// family removes its count.

/// The label of a family with the most different values.
struct WidestLabel: Sendable {
    let name: String
    /// The number of different values found.
    let count: Int
    /// Some of the values, from the newest series, cut for display.
    let examples: [String]
}

extension FamilyCore {
    /// The maximum number of series examined, starting with the newest: they show which label
    /// grows.
    private static let seriesLooked = 10_000
    /// The maximum number of label names examined in a family with open labels.
    private static let namesLooked = 50
    private static let exampleCount = 3
    private static let exampleLength = 60

    /// The label with the most values; nil if no series has one.
    ///
    /// - Complexity: Linear in the number of labels of up to 10,000 series, without a lock: about
    ///   0.1 µs for each label.
    var widestLabel: WidestLabel? {
        // A definition with open labels has no label names, so they are collected from the series.
        var found: [(name: [UInt8], values: Set<UInt64>, examples: [String])] =
            definition.labels.map { (Array($0.utf8), [], []) }
        unsafe forEachNewestSeries { labels in
            unsafe LabelBlock.forEachLabel(in: labels) { name, value in
                var position = 0
                while position < found.count, unsafe !name.elementsEqual(found[position].name) {
                    position += 1
                }
                if position == found.count {
                    guard definition.hasOpenLabels, position < Self.namesLooked else { return }
                    found.append((unsafe Array(name), [], []))
                }
                guard found[position].values.insert(unsafe LabelHash.of(value)).inserted,
                    found[position].examples.count < Self.exampleCount
                else { return }
                found[position].examples.append(unsafe Self.example(value))
            }
        }
        guard let widest = found.max(by: { $0.values.count < $1.values.count }),
            !widest.values.isEmpty
        else { return nil }
        return WidestLabel(
            name: String(decoding: widest.name, as: UTF8.self), count: widest.values.count,
            examples: widest.examples)
    }

    private func forEachNewestSeries(_ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        var left = Self.seriesLooked
        for run in runs.reversed() {
            for index in (0..<run.count).reversed() where run.block.isShown(at: index) {
                let labels = unsafe run.block.labels(at: index)
                if unsafe labels.elementsEqual(overflowKey) { continue }
                if left == 0 { return }
                left -= 1
                unsafe body(labels)
            }
        }
    }

    /// A label value for display: short, and without characters that affect the text around it.
    private static func example(_ escaped: UnsafeBufferPointer<UInt8>) -> String {
        // A scalar has at most four bytes, and at most twice as many when escaped.
        let text = unsafe LabelBlock.unescaped(escaped.prefix(exampleLength * 8))
        var shown = String.UnicodeScalarView()
        for scalar in text.unicodeScalars.prefix(exampleLength) {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: shown.append("\u{FFFD}")
            default: shown.append(scalar)
            }
        }
        let isCut =
            escaped.count > exampleLength * 8 || text.unicodeScalars.count > exampleLength
        return String(shown) + (isCut ? "…" : "")
    }

    /// The limit that was reached, in series or in bytes of labels.
    private var room: String {
        hasLackedBytes
            ? "\(limit.labelBytes) bytes of labels in a scrape, or its registry at "
                + "\(context.labels.limit)"
            : "\(limit.clampedCount) series"
    }

    /// The log message when the family first returns its overflow series.
    var overflowAdvice: String {
        let widest = widestLabel.map {
            " The label \"\($0.name)\" has the most values (\($0.count)): use fewer, or drop it."
        }
        let shared =
            definition.hasOpenLabels
            ? "with the one label overflow=\"\(SeriesLimit.overflowValue)\""
            : "in which every label is \"\(SeriesLimit.overflowValue)\""
        let way =
            definition.hasOpenLabels
            ? "its labels and a higher SeriesLimit before swift-metrics uses it"
            : "a higher SeriesLimit"
        return """
            metric "\(definition.name)" is at its limit of \(room); further label values \
            share one \(shared), so totals stay right.\(widest ?? "") If it needs more series, \
            register it with \(way); outrider_series_overflowed_total counts these lookups
            """
    }

    /// The notice on the page at `/`.
    fileprivate var overflowNotice: String {
        let widest = widestLabel.map { widest in
            let examples = widest.examples.map { "\"\($0)\"" }.joined(separator: ", ")
            return " The label \(widest.name) has the most values (\(widest.count)): \(examples)"
                + (widest.count > widest.examples.count ? ", …" : "")
        }
        return """
            \(definition.name) is at its limit of \(room). \(overflowCount) lookups got \
            its overflow series instead.\(widest ?? "")
            """
    }
}

extension Registry {
    /// The maximum number of notices; further families are only counted.
    private static let noticeLimit = 20

    /// The families that have returned their overflow series, by name.
    fileprivate var overflowedFamilies: [FamilyCore] {
        snapshot.entries.compactMap { entry in
            guard case .instruments(let core) = entry, core.overflowCount > 0 else { return nil }
            return core
        }
    }

    /// A sentence or two on each family that returned its overflow series: its limit, the number of
    /// such lookups, and the label with the most values; not escaped for any format.
    ///
    /// - Complexity: About a millisecond for each family; at most twenty are described.
    package var overflowNotices: [String] {
        let families = overflowedFamilies
        let notices = families.prefix(Self.noticeLimit).map(\.overflowNotice)
        let more = families.count - notices.count
        return more > 0 ? notices + ["\(more) more families reached their limits."] : notices
    }
}

/// Counts the lookups that returned an overflow series, by family.
struct OverflowCollector: Collector {
    private static let overflowed = CollectedFamily.counter(
        "outrider_series_overflowed_total",
        help: "Lookups that got the overflow series because a limit was reached, by family.",
        labels: ["family"])

    weak let registry: Registry?

    var name: String { "overflows" }
    var families: [CollectedFamily] { [Self.overflowed] }

    func collect(into samples: inout CollectedSamples) {
        for core in registry?.overflowedFamilies ?? [] {
            samples.add(Self.overflowed, core.overflowCount, core.definition.name)
        }
    }
}
