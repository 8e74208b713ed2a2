// SPDX-License-Identifier: Apache-2.0
// How much text labels may be: of one value, and of a registry.

internal import Synchronization

/// How long a label value may be, and how much the labels of a registry may be together.
///
/// A series with long labels costs memory in the process and, once for each of its lines, in each
/// scrape. So both are limited in bytes, whoever chooses the values:
///
/// - A longer value is cut, at a whole character, and ends in `…` and a hash of the whole: two long
///   values that differ stay two series. It is counted in `outrider_label_values_cut_total`.
/// - A series for which there is no room is the overflow series of its family, as one past the family's
///   ``SeriesLimit``, which has a limit in bytes too.
public struct LabelLimits: Hashable, Sendable {
    /// Bytes of UTF-8 in a label value; less than 64 counts as 64, more than 16,384 as that.
    ///
    /// 1,024 is more than labels of use have, and half of what Grafana Mimir takes (2,048, its
    /// `max_label_value_length`): a longer one would cost the series at the far end.
    public var valueLength: Int = 1_024

    /// Bytes of label text that a scrape of the registry may have: of each series its labels, as often as
    /// it has lines.
    ///
    /// The first 64 KiB of each family are not counted, so that one family leaves room to all others.
    public var bytes: Int = 32 << 20

    /// Limits of its own for a registry.
    public init(valueLength: Int = 1_024, bytes: Int = 32 << 20) {
        self.valueLength = valueLength
        self.bytes = bytes
    }

    /// Values of up to 1,024 bytes, and 32 MiB of labels.
    public static let standard = LabelLimits()

    /// The length in a range that works.
    var saneLength: Int { min(max(64, valueLength), 16 << 10) }

    /// What the environment says: `OUTRIDER_LABEL_VALUE_BYTES`, `OUTRIDER_LABEL_BYTES`.
    static func ofProcess(log: DiagnosticLog) -> LabelLimits {
        var limits = standard
        limits.valueLength = EnvironmentChoice.number(
            "OUTRIDER_LABEL_VALUE_BYTES", else: limits.valueLength, log: log)
        limits.bytes = EnvironmentChoice.number(
            "OUTRIDER_LABEL_BYTES", else: limits.bytes, log: log)
        return limits
    }
}

/// The label text of a registry's families; thread-safe.
final class LabelBudget: Sendable {
    let limit: Int
    private let used = Atomic<Int>(0)

    init(_ limit: Int = .max) {
        self.limit = limit
    }

    // ORDERING: relaxed; the count guards no memory. Two families that take at once may take a label
    // set more than there is.

    /// Whether there is room for so many bytes more.
    func hasRoom(for bytes: Int) -> Bool {
        bytes <= 0 || used.load(ordering: .relaxed) <= limit - bytes
    }

    func add(_ bytes: Int) {
        if bytes != 0 { used.wrappingAdd(bytes, ordering: .relaxed) }
    }
}

/// How much label text a family may have, as part of its registry.
struct FamilyBudget: Sendable {
    /// Of each family, this much is not counted for its registry.
    private static let own = 64 << 10

    /// Bytes in a scrape.
    let limit: Int
    /// How often a scrape has the labels of a series.
    let lines: Int
    let registry: LabelBudget

    private func charge(_ bytes: Int) -> Int { max(0, bytes * lines - Self.own) }

    /// Whether a family whose label sets are so long together may have one more.
    func hasRoom(for more: Int, beside bytes: Int) -> Bool {
        (bytes + more) * lines <= max(limit, 0)
            && registry.hasRoom(for: charge(bytes + more) - charge(bytes))
    }

    /// Notes that the label sets of a family have become longer or shorter.
    func note(_ old: Int, became new: Int) {
        registry.add(charge(new) - charge(old))
    }
}
