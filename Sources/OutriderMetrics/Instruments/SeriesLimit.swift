// SPDX-License-Identifier: Apache-2.0
// The limits of a family: the number of its series, the size of their labels, and their idle time.

/// Limits the series of a family: their number, the size of their labels, and how long idle series
/// are kept.
///
/// Label values that come from outside (a path, a user name, a header) can be anything, and each
/// new value would use memory forever. So every family has a limit. Lookups of further label values
/// return one shared series, the overflow series, in which every label has the value `_OVERFLOW`:
/// totals stay correct, only the distinction between the values is lost. Such lookups are counted
/// in `outrider_series_overflowed_total{family}`, logged once for each family, and reported on the
/// page at `/`.
///
/// ```swift
/// let logins = registry.counter(
///     "logins", help: "Logins.", labels: ["tenant"],
///     limit: SeriesLimit(count: 500, idleTime: .seconds(3_600)))
/// ```
///
/// Registering a family again with a different limit is not a conflict; the first limit stays.
public struct SeriesLimit: Hashable, Sendable {
    /// The maximum number of series at one time; less than 1 counts as 1.
    ///
    /// The overflow series is not included. A series costs on the order of a hundred bytes of
    /// memory, plus its labels: docs/performance.md.
    public var count: Int = 10_000

    /// The maximum number of bytes of label text in a scrape of the family.
    ///
    /// The labels of a series count once for each of its lines; a histogram has a line for each
    /// bucket, `+Inf` included, and two more. With 10,000 histograms of 14 lines each, the default
    /// leaves 119 bytes for the labels of each. For the limits of a whole registry and of a single
    /// value, see ``LabelLimits``.
    public var labelBytes: Int = 16 << 20

    /// How long an unchanged counter or histogram is kept, by the registry's clock; nil keeps it
    /// forever.
    ///
    /// Checked at each scrape, so recording costs nothing. The time starts with the first scrape
    /// that exposed the current value and was delivered. A series that has not changed for this
    /// long is removed, and starts from zero with a new creation time when it comes back. If the
    /// service still holds its instrument, the series is only hidden until something is recorded on
    /// it, and keeps its count. Gauges do not expire: an unchanged gauge is not idle. Choose
    /// several times the interval of the slowest scraper, so that every scraper sees the last
    /// value.
    public var idleTime: Duration?

    /// Creates limits for a family.
    public init(
        count: Int = 10_000, idleTime: Duration? = nil, labelBytes: Int = 16 << 20
    ) {
        self.count = count
        self.idleTime = idleTime
        self.labelBytes = labelBytes
    }

    /// The default: 10,000 series with 16 MiB of labels, kept forever.
    public static let `default` = SeriesLimit()

    /// The value of every label of an overflow series.
    static let overflowValue = "_OVERFLOW"

    /// The count, limited to valid values.
    var clampedCount: Int { max(1, count) }
}
