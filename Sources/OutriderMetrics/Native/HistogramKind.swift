// SPDX-License-Identifier: Apache-2.0
// The default kind of a registry's histograms: classic, native or both.

/// The kind of histograms whose buckets do not specify native ones.
public struct HistogramKind: Hashable, Sendable, CustomStringConvertible {
    /// The value of `OUTRIDER_HISTOGRAMS` for this kind.
    public let description: String

    /// Histograms have the buckets that they were registered with.
    public static let classic = HistogramKind(description: "classic")
    /// Histograms have only native buckets, with a growth factor of 1.1.
    ///
    /// A scraper that does not request native histograms gets `_sum`, `_count` and one bucket; one
    /// that does stores no `_bucket` series.
    public static let native = HistogramKind(description: "native")
    /// Histograms have native buckets in addition to their own.
    public static let both = HistogramKind(description: "both")

    private static let all = [classic, native, both]

    /// Creates the kind with this name; nil if there is none.
    public init?(_ name: String) {
        guard let kind = Self.all.first(where: { $0.description == name }) else { return nil }
        self = kind
    }

    private init(description: String) {
        self.description = description
    }

    /// The kind in the environment; classic if it is not set.
    static func ofProcess(log: DiagnosticLog) -> HistogramKind {
        EnvironmentChoice.read("OUTRIDER_HISTOGRAMS", all, log: log)
    }
}

extension MetricDefinition {
    /// The same definition, but a histogram that does not specify its kind gets this one.
    func using(_ histograms: HistogramKind) -> MetricDefinition {
        guard kind == .histogram, native == nil, histograms != .classic else { return self }
        var changed = self
        changed.native = NativeBuckets()
        if histograms == .native { changed.bounds = [] }
        return changed
    }
}
