// SPDX-License-Identifier: Apache-2.0
// A metric with labels: one instrument for each set of label values.

/// The counters, gauges or histograms that share a name and differ in their label values.
///
/// Resolve a child once with ``with(_:)-(String)`` and keep it: finding it takes a lock and a hash of the
/// labels, recording on it takes neither. Thread-safe; a copy is the same family.
///
/// ```swift
/// let orders = Registry.shared.counter("orders_total", help: "Orders.", labels: ["kind"])
/// let books = orders.with("book")
/// books.increment()
/// ```
public struct Family<Instrument: AnyObject & Sendable>: Sendable {
    let core: FamilyCore
    /// Where in the caller's order the value of the i-th (sorted) label stands; nil if in order.
    let order: [Int]?
    private let names: [String]

    init(_ core: FamilyCore, labels: [String]) {
        self.core = core
        names = labels
        order = core.definition.order(of: labels)
    }

    /// The instrument with this value of the one label, made with zero if there is none yet.
    ///
    /// Never fails: a family with another number of labels gives an instrument that works but is
    /// not exposed, and that is logged and counted in `outrider_observations_refused_total`.
    /// Any text is allowed as a value; an empty one is the same as none. Past the family's
    /// ``SeriesLimit``, a value that is new gives the overflow series, and that is counted.
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
    /// A name that the family does not have, or one that is missing, is a wrong number of labels.
    public func with(_ labels: [String: String]) -> Instrument {
        with(valuesInOrder(of: labels))
    }

    /// The instrument with these label values, given as the bytes of text in UTF-8.
    ///
    /// For values that come from a wire. What is not valid UTF-8 is repaired with U+FFFD and
    /// counted in `outrider_label_values_repaired_total`.
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
    /// Instruments that were kept go on working, unseen; asking for the same labels again makes a
    /// new one at zero.
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

    /// Removes every series that carries all of these labels: one, some or all of the family's.
    ///
    /// - Returns: How many there were; zero if the family has no label of such a name, or if
    ///   `labels` is empty (see ``removeAll()``).
    /// - Complexity: One look at each series of the family.
    @discardableResult
    public func removeAll(matching labels: [String: String]) -> Int {
        core.removeAll(matching: labels)
    }

    /// Removes every series of the family.
    public func removeAll() {
        core.removeAll()
    }

    /// Series that exist now, the overflow series and those that are hidden while idle included.
    public var count: Int { core.count }

    /// Labels of each series.
    var labelCount: Int { names.count }

    /// The overflow series, in which every label is `_OVERFLOW`; counted as a look-up past the limit.
    ///
    /// For those that have a bound of their own on what they look up.
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

    /// One of the family's instruments as what it is.
    @inline(__always)
    func instrument(_ object: AnyObject) -> Instrument {
        // SAFETY: the registry makes a `Family<Counter>` for a core of counters only, and so on.
        unsafe unsafeDowncast(object, to: Instrument.self)
    }

    /// The values in the order of `names`; of another count if the names differ.
    private func valuesInOrder(of labels: [String: String]) -> [String] {
        let values = names.compactMap { labels[$0] }
        guard values.count == names.count, labels.count == names.count else {
            return Array(repeating: "", count: names.count + 1)
        }
        return values
    }
}
