// SPDX-License-Identifier: Apache-2.0
// Whether a registry's histograms are classic, native or both, where nobody said so of one.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// What becomes of the histograms of a registry whose buckets say nothing of native ones.
public struct HistogramForm: Hashable, Sendable, CustomStringConvertible {
    /// How `OUTRIDER_HISTOGRAMS` spells it.
    public let description: String

    /// They have the buckets that they were registered with.
    public static let classic = HistogramForm(description: "classic")
    /// They have native buckets alone, of a growth factor of 1.1.
    ///
    /// A server that does not ask for these
    /// sees `_sum`, `_count` and one bucket; one that does stores no `_bucket` series.
    public static let native = HistogramForm(description: "native")
    /// They have native buckets beside their own.
    public static let both = HistogramForm(description: "both")

    /// The variable of the environment that tells it.
    static let variable = "OUTRIDER_HISTOGRAMS"

    /// The form of this name; nil if there is none.
    public init?(_ name: String) {
        guard let form = [Self.classic, .native, .both].first(where: { $0.description == name })
        else { return nil }
        self = form
    }

    private init(description: String) {
        self.description = description
    }

    /// What the environment says; classic if it says nothing, or what nobody understands.
    static func ofProcess(log: DiagnosticLog) -> HistogramForm {
        // SAFETY: the text is copied at once. getenv(3) races with setenv(3) in another thread alone.
        guard let value = unsafe getenv(variable) else { return .classic }
        let name = unsafe String(cString: value)
        if name.isEmpty { return .classic }
        if let form = HistogramForm(name) { return form }
        log.say(
            .warning, about: variable,
            "\(variable) is \"\(name)\", which is none of classic, native and both; it is ignored")
        return .classic
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
