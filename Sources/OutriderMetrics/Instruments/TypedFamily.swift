// SPDX-License-Identifier: Apache-2.0
// Label values that are known at compile time: lookup without strings.
//
// Each value has an ordinal among the cases of its enumeration, and the ordinals of all labels give
// the index of the series in one table. For an enumeration without payloads, the compiler numbers
// the cases 0, 1, 2 and so on, so the byte of a case is usually its ordinal. This is checked when
// the table is built; where it does not hold, the ordinal is looked up by the text of the value.

/// A label whose possible values are the cases of an enumeration.
///
/// ```swift
/// enum Kind: String, LabelValue { case book, ticket }
/// ```
///
/// The raw value is the text of the label value.
public protocol LabelValue: CaseIterable, RawRepresentable, Sendable where RawValue == String {}

/// A placeholder for a label that a ``TypedFamily`` does not have.
public enum NoLabel: String, LabelValue {
    /// The only value.
    case none = ""
}

/// The counters, gauges or histograms of a ``Family``, looked up by enumeration cases.
///
/// All series are created at once, with the value zero, so that none is missing before its first
/// event. They count towards the family's ``SeriesLimit``; combinations past it share the overflow
/// series. A lookup takes no lock, computes no hash and allocates nothing (cost:
/// docs/performance.md). Thread-safe; a copy is the same family.
///
/// ```swift
/// let orders = Registry.shared
///     .counter("orders_total", help: "Orders.", labels: ["kind", "payment"])
///     .typed(Kind.self, Payment.self)
/// orders.record(.book, .card) { $0.increment() }
/// ```
///
/// It keeps its instruments: if a series is removed, its instrument still works, but is not
/// exposed.
@safe
public struct TypedFamily<
    Instrument: AnyObject & Sendable, First: LabelValue, Second: LabelValue, Third: LabelValue
>: Sendable {
    @usableFromInline let first = LabelOrdinals<First>()
    @usableFromInline let second = LabelOrdinals<Second>()
    @usableFromInline let third = LabelOrdinals<Third>()
    /// The instruments by table index; empty if there would be too many.
    @usableFromInline let instruments: [Instrument]
    /// The same instruments unretained, for `record`: reference counting costs more than a count.
    // SAFETY: `instruments` holds a reference to each of them.
    @usableFromInline let uncounted: [Unmanaged<Instrument>]
    private let family: Family<Instrument>
    private let labels: Int

    /// The maximum number of combinations that get a table.
    private static var most: Int { 65_536 }

    /// - Parameters:
    ///   - family: The family of the instruments.
    ///   - labels: How many of the three labels are used.
    init(_ family: Family<Instrument>, labels: Int) {
        self.family = family
        self.labels = labels
        let counts = [First.allCases.count, Second.allCases.count, Third.allCases.count]
        guard counts.allSatisfy({ $0 <= Self.most }), counts.reduce(1, *) <= Self.most,
            labels == family.labelCount
        else {
            instruments = []
            unsafe uncounted = []
            return
        }
        instruments = First.allCases.flatMap { first in
            Second.allCases.flatMap { second in
                Third.allCases.map { third in
                    let texts = [first.rawValue, second.rawValue, third.rawValue]
                    return family.with(Array(texts.prefix(labels)))
                }
            }
        }
        unsafe uncounted = instruments.map { unsafe Unmanaged.passUnretained($0) }
    }

    /// The instrument with these label values, in the order of the family's definition.
    ///
    /// For instruments that are kept. For a single recording, ``record(_:_:_:_:)`` is faster, above
    /// all from several threads.
    @inlinable
    public func with(_ first: First, _ second: Second, _ third: Third) -> Instrument {
        let index = tableIndex(of: first, second, third)
        guard index >= 0, index < instruments.count else {
            return find(first.rawValue, second.rawValue, third.rawValue)
        }
        return instruments[index]
    }

    /// Calls `body` with the instrument of these values, in the order of the family's definition.
    ///
    /// ```swift
    /// orders.record(.book, .card) { $0.increment() }
    /// ```
    ///
    /// Threads that call it share only the instrument itself, not a reference count.
    @inlinable
    public func record(
        _ first: First, _ second: Second, _ third: Third, _ body: (Instrument) -> Void
    ) {
        let index = tableIndex(of: first, second, third)
        guard index >= 0, unsafe index < uncounted.count else {
            return body(find(first.rawValue, second.rawValue, third.rawValue))
        }
        // SAFETY: `self` holds the instruments, and lives until `body` has returned.
        unsafe uncounted[index]._withUnsafeGuaranteedRef { body($0) }
        withExtendedLifetime(self) {}
    }

    /// The table index of these values; negative if a type does not list its value in `allCases`.
    @inlinable
    func tableIndex(of first: First, _ second: Second, _ third: Third) -> Int {
        let ordinals = (
            self.first.ordinal(of: first), self.second.ordinal(of: second),
            self.third.ordinal(of: third)
        )
        let index =
            (ordinals.0 &* self.second.count &+ ordinals.1) &* self.third.count &+ ordinals.2
        return ordinals.0 | ordinals.1 | ordinals.2 < 0 ? -1 : index
    }

    @usableFromInline
    func find(_ first: String, _ second: String, _ third: String) -> Instrument {
        family.with(Array([first, second, third].prefix(labels)))
    }
}

extension TypedFamily where Third == NoLabel {
    /// The instrument with these two label values, in the order of the family's definition.
    @inlinable
    public func with(_ first: First, _ second: Second) -> Instrument { with(first, second, .none) }

    /// Calls `body` with the instrument of these two label values; see ``record(_:_:_:_:)``.
    @inlinable
    public func record(_ first: First, _ second: Second, _ body: (Instrument) -> Void) {
        record(first, second, .none, body)
    }
}

extension TypedFamily where Second == NoLabel, Third == NoLabel {
    /// The instrument with this value of the one label.
    @inlinable
    public func with(_ value: First) -> Instrument { with(value, .none, .none) }

    /// Calls `body` with the instrument of this value of the one label; see ``record(_:_:_:_:)``.
    @inlinable
    public func record(_ value: First, _ body: (Instrument) -> Void) {
        record(value, .none, .none, body)
    }
}

extension Family {
    /// A view of the family whose one label has values known at compile time.
    ///
    /// A family with a different number of labels gives instruments that work but are not exposed;
    /// each lookup is counted in `outrider_observations_refused_total`, and the first is logged.
    public func typed<First: LabelValue>(
        _ first: First.Type
    ) -> TypedFamily<Instrument, First, NoLabel, NoLabel> {
        TypedFamily(self, labels: 1)
    }

    /// The same for two labels, in the order of the family's definition; see ``typed(_:)``.
    public func typed<First: LabelValue, Second: LabelValue>(
        _ first: First.Type, _ second: Second.Type
    ) -> TypedFamily<Instrument, First, Second, NoLabel> {
        TypedFamily(self, labels: 2)
    }

    /// The same for three labels, in the order of the family's definition; see ``typed(_:)``.
    public func typed<First: LabelValue, Second: LabelValue, Third: LabelValue>(
        _ first: First.Type, _ second: Second.Type, _ third: Third.Type
    ) -> TypedFamily<Instrument, First, Second, Third> {
        TypedFamily(self, labels: 3)
    }
}

/// The ordinals of a label's values.
@usableFromInline struct LabelOrdinals<Value: LabelValue>: Sendable {
    /// The number of values.
    @usableFromInline let count: Int
    /// Whether the byte of each value is its ordinal.
    @usableFromInline let isDense: Bool
    /// The ordinals by text; empty if `isDense`.
    private let byText: [String: Int]

    init() {
        let all = Array(Value.allCases)
        count = all.count
        let isSmall = MemoryLayout<Value>.size <= 1 && all.count <= 256
        isDense = isSmall && all.enumerated().allSatisfy { Self.byte(of: $1) == $0 }
        let ordinals = isDense ? [] : all.enumerated().map { ($1.rawValue, $0) }
        byText = Dictionary(ordinals, uniquingKeysWith: { first, _ in first })
    }

    /// The ordinal of a value; negative for a value that its type does not list.
    @inlinable
    func ordinal(of value: Value) -> Int {
        isDense ? Self.byte(of: value) : ordinalByText(of: value)
    }

    /// The byte of a value; 0 for a type with a single value, which has no bytes.
    @inlinable
    static func byte(of value: Value) -> Int {
        if MemoryLayout<Value>.size == 0 { return 0 }
        // SAFETY: only called for values of at most one byte.
        return Int(unsafe unsafeBitCast(value, to: UInt8.self))
    }

    @usableFromInline
    func ordinalByText(of value: Value) -> Int { byText[value.rawValue] ?? -1 }
}
