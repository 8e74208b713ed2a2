// SPDX-License-Identifier: Apache-2.0
// The rules for single samples in a family of a given type.

/// The rules for the samples of one family.
struct SampleRules {
    /// Maximum number of characters in the labels of an exemplar, names and values together.
    static let exemplarLimit = 128

    let family: String
    let type: Exposition.FamilyType
    let format: Exposition.Format

    /// The problem of a sample, as the rest of a sentence about it; nil if it is valid.
    func problem(of sample: Exposition.Sample) -> String? {
        let suffix = String(sample.name.dropFirst(family.count))
        return labelProblem(of: sample, suffix) ?? valueProblem(of: sample, suffix)
            ?? exemplarProblem(of: sample, suffix)
    }

    // MARK: - Labels

    private func labelProblem(of sample: Exposition.Sample, _ suffix: String) -> String? {
        guard let label = type.distinguishingLabel(of: family) else { return nil }
        let isDistinguished =
            suffix == "_bucket" || type == .stateSet || type == .summary && suffix == ""
        guard let value = sample.labels[label] else {
            return isDistinguished ? "has no label \(label)" : nil
        }
        if !isDistinguished { return "may not have the label \(label)" }
        if type == .stateSet { return nil }
        guard let number = LineScanner.number(value), !number.isNaN else {
            return "has a label \(label) that is not a number"
        }
        if type == .summary && !(0...1).contains(number) {
            return "has a quantile that is not between 0 and 1"
        }
        return nil
    }

    // MARK: - Values

    private func valueProblem(of sample: Exposition.Sample, _ suffix: String) -> String? {
        let value = sample.value
        switch (type, suffix) {
        case (.counter, "_created"), (.histogram, "_created"), (.summary, "_created"):
            return value.isFinite && value >= 0 ? nil : "is not a time"
        case (.counter, _):
            return value >= 0 ? nil : "is a counter, which cannot be \(NumberText.of(value))"
        case (_, "_bucket"), (_, "_count"), (_, "_gcount"):
            // A sample with such a suffix here is part of a distribution.
            let isCount = value.isFinite && value >= 0 && value.rounded() == value
            return isCount ? nil : "is a count, which cannot be \(NumberText.of(value))"
        case (.histogram, "_sum"), (.summary, "_sum"):
            if format == .text { return nil }
            return value >= 0
                ? nil : "is a sum, which cannot be \(NumberText.of(value)) in OpenMetrics"
        case (.gaugeHistogram, _):
            return value.isNaN ? "is a sum, which cannot be NaN" : nil
        case (.summary, _):
            if format == .text { return nil }
            return value < 0 ? "is a quantile, which cannot be negative in OpenMetrics" : nil
        case (.info, _):
            return value == 1 ? nil : "is an info, so its value must be 1"
        case (.stateSet, _):
            return value == 0 || value == 1 ? nil : "is a state, so its value must be 0 or 1"
        case (.gauge, _), (.unknown, _), (.histogram, _):
            return nil
        }
    }

    // MARK: - Exemplars

    private func exemplarProblem(of sample: Exposition.Sample, _ suffix: String) -> String? {
        guard let exemplar = sample.exemplar else { return nil }
        guard type == .counter && suffix == "_total" || suffix == "_bucket" else {
            return "may not have an exemplar: only counters and buckets may"
        }
        let length = exemplar.labels.reduce(0) { length, label in
            length + label.key.unicodeScalars.count + label.value.unicodeScalars.count
        }
        if length > Self.exemplarLimit {
            return """
                has an exemplar with \(length) characters of labels; \
                \(Self.exemplarLimit) are allowed
                """
        }
        let bound = sample.labels["le"].flatMap(LineScanner.number)
        if suffix == "_bucket", let bound, !(exemplar.value <= bound) {
            return "has an exemplar of \(NumberText.of(exemplar.value)), which is above its bound"
        }
        return nil
    }
}
