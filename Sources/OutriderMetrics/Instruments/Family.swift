// SPDX-License-Identifier: Apache-2.0
// A metric with labels: one instrument for each set of label values.

/// The counters, gauges or histograms that share a name and differ in their label values.
///
/// Look up an instrument once with ``with(_:)-(String)`` and keep it: a lookup hashes the label
/// values, recording does not. Up to three values, passed as separate arguments, are looked up
/// without a lock, unless a value is empty, escaped or cut, the series does not exist, or the
/// family has a ``SeriesLimit/idleTime``. Thread-safe; a copy is the same family.
///
/// ```swift
/// let orders = Registry.shared.counter("orders_total", help: "Orders.", labels: ["kind"])
/// let books = orders.with("book")
/// books.increment()
/// ```
public struct Family<Instrument: AnyObject & Sendable>: Sendable {
    let core: FamilyCore
    /// For each sorted label, the index of its value in the caller's order; nil if the orders
    /// match.
    let order: [Int]?
    private let names: [String]

    init(_ core: FamilyCore, labels: [String]) {
        self.core = core
        names = labels
        order = core.definition.order(of: labels)
    }

    /// The instrument with this value of the only label, created with the value zero if missing.
    ///
    /// Never fails. A family with a different number of labels returns an instrument that works but
    /// is not exposed; this is logged and counted in `outrider_observations_refused_total`. Any
    /// text is a valid value; an empty value is the same as a missing label. Past the family's
    /// ``SeriesLimit``, a new value returns the overflow series, which is counted.
    public func with(_ value: String) -> Instrument {
        if let found = core.plain(value) { return instrument(found) }
        return slowly(value)
    }

    /// The instrument with these two label values, in the order of the family's definition.
    public func with(_ first: String, _ second: String) -> Instrument {
        if let found = core.plain(first, second, order: order) { return instrument(found) }
        return slowly(first, second)
    }

    /// The instrument with these three label values, in the order of the family's definition.
    public func with(_ first: String, _ second: String, _ third: String) -> Instrument {
        if let found = core.plain(first, second, third, order: order) { return instrument(found) }
        return slowly(first, second, third)
    }

    /// The instrument with these label values, in the order of the family's definition.
    public func with(_ values: String...) -> Instrument {
        with(values)
    }

    /// The instrument with these label values, in the order of the family's definition.
    public func with(_ values: [String]) -> Instrument {
        child(values.span)
    }

    /// The instrument with these labels, by name, in any order.
    ///
    /// An unknown or missing name is treated as a wrong number of labels.
    public func with(_ labels: [String: String]) -> Instrument {
        with(valuesInOrder(of: labels))
    }

    /// The instrument with these label values, given as UTF-8 bytes.
    ///
    /// For values received from the network. Invalid UTF-8 is repaired with U+FFFD and counted in
    /// `outrider_label_values_repaired_total`.
    public func with(utf8 values: [UInt8]...) -> Instrument {
        with(
            values.map { bytes in
                if let text = String(validating: bytes, as: UTF8.self) { return text }
                core.diagnostics.noteRepair()
                return String(decoding: bytes, as: UTF8.self)
            })
    }

    /// Removes the series with these label values, in the order of the family's definition.
    ///
    /// Instruments that the caller kept still work, but are not exposed. Looking up the same labels
    /// again creates a new instrument with the value zero.
    ///
    /// - Returns: Whether there was such a series.
    @discardableResult
    public func remove(_ values: String...) -> Bool {
        remove(values)
    }

    /// Removes the series with these label values, in the order of the family's definition.
    ///
    /// - Returns: Whether there was such a series.
    @discardableResult
    public func remove(_ values: [String]) -> Bool {
        core.remove(values.span, order: order)
    }

    /// Removes the series with exactly these labels, by name, in any order.
    ///
    /// - Returns: Whether there was such a series.
    @discardableResult
    public func remove(_ labels: [String: String]) -> Bool {
        remove(valuesInOrder(of: labels))
    }

    /// Removes every series that has all of these labels, which may be some or all of the family's.
    ///
    /// - Returns: The number of removed series; zero if the family lacks one of the labels, or if
    ///   `labels` is empty (see ``removeAll()``).
    /// - Complexity: Linear in the number of series of the family.
    @discardableResult
    public func removeAll(matching labels: [String: String]) -> Int {
        core.removeAll(matching: labels)
    }

    /// Removes every series of the family.
    public func removeAll() {
        core.removeAll()
    }

    /// The number of current series, including the overflow series and those hidden while idle.
    public var count: Int { core.count }

    /// The number of labels of each series.
    var labelCount: Int { names.count }

    /// The overflow series, in which every label is `_OVERFLOW`; counted as a lookup past the
    /// limit.
    ///
    /// For callers that limit their lookups themselves.
    package func overflow() -> Instrument {
        instrument(core.overflow())
    }

    /// The instrument with these label values, and whether it is that of the overflow series.
    package func resolve(_ values: [String]) -> (instrument: Instrument, isOverflow: Bool) {
        let found = core.find(values.span, order: order)
        return (instrument(found.instrument), found.isOverflow)
    }

    func child(_ values: Span<String>) -> Instrument {
        instrument(core.instrument(for: values, order: order))
    }

    /// Casts one of the family's instruments to its type.
    @inline(__always)
    func instrument(_ object: AnyObject) -> Instrument {
        // SAFETY: the registry creates a `Family<Counter>` only for a core of counters, and so on.
        unsafe unsafeDowncast(object, to: Instrument.self)
    }

    /// The values in the order of `names`; a wrong number of values if the names differ.
    private func valuesInOrder(of labels: [String: String]) -> [String] {
        let values = names.compactMap { labels[$0] }
        guard values.count == names.count, labels.count == names.count else {
            return Array(repeating: "", count: names.count + 1)
        }
        return values
    }
}
