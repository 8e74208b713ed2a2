// SPDX-License-Identifier: Apache-2.0
// Limits on the size of labels: of a single value, and of a registry.

internal import Synchronization

/// Limits the length of label values and the total size of a registry's labels.
///
/// Long labels use memory in the process and, once for each line of their series, in each scrape.
/// So both limits are in bytes:
///
/// - A longer value is cut at a whole character, and ends in `…` and a hash of the whole value, so
///   two different long values stay two series. It is counted in `outrider_label_values_cut_total`.
/// - A series that does not fit becomes the overflow series of its family, like a series past the
///   family's ``SeriesLimit``, which has a limit in bytes too.
public struct LabelLimits: Hashable, Sendable {
    /// The maximum length of a label value in bytes of UTF-8, clamped to 64 to 16,384.
    ///
    /// 1,024 is more than useful labels have, and half of what Grafana Mimir accepts (2,048, its
    /// `max_label_value_length`); Mimir would reject series with longer values.
    public var valueLength: Int = 1_024

    /// The maximum number of bytes of label text in a scrape of the registry; the labels of a
    /// series count once for each of its lines.
    ///
    /// The first 64 KiB of each family are not counted, so that one family cannot use up the space
    /// of all others.
    public var bytes: Int = 32 << 20

    /// Creates limits for a registry.
    public init(valueLength: Int = 1_024, bytes: Int = 32 << 20) {
        self.valueLength = valueLength
        self.bytes = bytes
    }

    /// The default: values of up to 1,024 bytes, and 32 MiB of labels.
    public static let `default` = LabelLimits()

    /// The length, limited to valid values.
    var clampedLength: Int { min(max(64, valueLength), 16 << 10) }

    /// The limits from the environment: `OUTRIDER_LABEL_VALUE_BYTES`, `OUTRIDER_LABEL_BYTES`.
    static func ofProcess(log: DiagnosticLog) -> LabelLimits {
        var limits = `default`
        limits.valueLength = EnvironmentChoice.positiveInteger(
            "OUTRIDER_LABEL_VALUE_BYTES", else: limits.valueLength, log: log)
        limits.bytes = EnvironmentChoice.positiveInteger(
            "OUTRIDER_LABEL_BYTES", else: limits.bytes, log: log)
        return limits
    }
}

/// The total size of the labels of a registry's families; thread-safe.
final class LabelBudget: Sendable {
    let limit: Int
    private let used = Atomic<Int>(0)

    init(_ limit: Int = .max) {
        self.limit = limit
    }

    // ORDERING: relaxed; the count does not guard other memory. Two families that add series at the
    // same time may exceed the limit by one label set.

    /// Whether this many more bytes fit.
    func hasRoom(for bytes: Int) -> Bool {
        bytes <= 0 || used.load(ordering: .relaxed) <= limit - bytes
    }

    func add(_ bytes: Int) {
        if bytes != 0 { used.wrappingAdd(bytes, ordering: .relaxed) }
    }
}

/// The limit on the label text of a family, within that of its registry.
struct FamilyBudget: Sendable {
    /// This many bytes of each family are not counted for its registry.
    private static let own = 64 << 10

    /// The maximum number of bytes in a scrape.
    let limit: Int
    /// How many lines of a scrape repeat the labels of a series.
    let lines: Int
    let registry: LabelBudget

    private func charge(_ bytes: Int) -> Int { max(0, bytes * lines - Self.own) }

    /// Whether a family with this many bytes of label sets may have one more set.
    func hasRoom(for more: Int, beside bytes: Int) -> Bool {
        (bytes + more) * lines <= max(limit, 0)
            && registry.hasRoom(for: charge(bytes + more) - charge(bytes))
    }

    /// Notes that the total size of a family's label sets changed.
    func note(_ old: Int, became new: Int) {
        registry.add(charge(new) - charge(old))
    }
}
