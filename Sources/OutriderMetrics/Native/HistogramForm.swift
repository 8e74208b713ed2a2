// SPDX-License-Identifier: Apache-2.0
// Whether a registry's histograms are classic, native or both, where nobody said so of one.

/// What becomes of the histograms of a registry whose buckets say nothing of native ones.
public struct HistogramForm: Hashable, Sendable, CustomStringConvertible {
    /// How `OUTRIDER_HISTOGRAMS` spells it.
    public let description: String

    /// They have the buckets that they were registered with.
    public static let classic = HistogramForm(description: "classic")
    /// They have native buckets alone, of a growth factor of 1.1.
    ///
    /// A server that does not ask for these sees `_sum`, `_count` and one bucket; one that does
    /// stores no `_bucket` series.
    public static let native = HistogramForm(description: "native")
    /// They have native buckets beside their own.
    public static let both = HistogramForm(description: "both")

    private static let all = [classic, native, both]

    /// The form of this name; nil if there is none.
    public init?(_ name: String) {
        guard let form = Self.all.first(where: { $0.description == name }) else { return nil }
        self = form
    }

    private init(description: String) {
        self.description = description
    }

    /// What the environment says; classic if it says nothing.
    static func ofProcess(log: DiagnosticLog) -> HistogramForm {
        EnvironmentChoice.read("OUTRIDER_HISTOGRAMS", all, log: log)
    }
}

extension MetricDefinition {
    /// The same, but a histogram of which nothing was said has this form.
    func inForm(_ form: HistogramForm) -> MetricDefinition {
        guard kind == .histogram, native == nil, form != .classic else { return self }
        var changed = self
        changed.native = NativeBuckets()
        if form == .native { changed.bounds = [] }
        return changed
    }
}
