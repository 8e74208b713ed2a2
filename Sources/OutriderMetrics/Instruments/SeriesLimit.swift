// SPDX-License-Identifier: Apache-2.0
// The guard of a family: how many series it may have, how much text, and for how long.

/// How many series a family may have, how long their labels may be, and how long an idle one is kept.
///
/// Label values that come from outside (a path, a user's name, a header) can take every value there
/// is, and each would cost memory for ever. So a family has a limit. Look-ups of further label values
/// are given one series, in which every label has the value `_OVERFLOW`: totals stay right, only
/// what tells them apart is lost. Such look-ups are counted in
/// `outrider_series_overflowed_total{family}`, logged once for a family, and told on the page at `/`.
///
/// ```swift
/// let logins = registry.counter(
///     "logins", help: "Logins.", labels: ["tenant"],
///     limit: SeriesLimit(count: 500, idleTime: .seconds(3_600)))
/// ```
///
/// A family that is registered again keeps its first limit; another one is no conflict.
public struct SeriesLimit: Hashable, Sendable {
    /// Series at one time; less than 1 counts as 1.
    ///
    /// The overflow series comes on top. A series costs some hundred bytes of memory, and its labels:
    /// docs/performance.md.
    public var count: Int = 10_000

    /// Bytes of label text that a scrape of the family may have: of each series its labels, as often as
    /// it has lines, which of a histogram are its buckets and two.
    ///
    /// With 10,000 histograms of 14 lines, that is 119 bytes of labels for each.
    /// ``LabelLimits`` has the limit of the registry, and that of a single value.
    public var labelBytes: Int = 16 << 20

    /// How long a counter or histogram that does not change is kept, by the registry's clock; nil
    /// keeps it for ever.
    ///
    /// Compared at each scrape, so recording costs nothing. The time begins with the first scrape that
    /// showed the present value and was delivered. A series that has not changed for this long is
    /// removed, and counts from zero with a new creation time when it comes back; or, if the service
    /// holds its instrument, it is hidden until something is recorded on it again, and keeps its count.
    /// Gauges do not expire: one that does not change is not idle. Choose several times the
    /// interval of the slowest scraper, so that each sees the last value.
    public var idleTime: Duration?

    /// A limit of its own for a family.
    public init(
        count: Int = 10_000, idleTime: Duration? = nil, labelBytes: Int = 16 << 20
    ) {
        self.count = count
        self.idleTime = idleTime
        self.labelBytes = labelBytes
    }

    /// 10,000 series with 16 MiB of labels, kept for ever.
    public static let standard = SeriesLimit()

    /// The value of every label of an overflow series.
    static let overflowValue = "_OVERFLOW"

    /// The count in a range that works.
    var saneCount: Int { max(1, count) }
}
