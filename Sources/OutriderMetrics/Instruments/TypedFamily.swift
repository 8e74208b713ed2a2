// SPDX-License-Identifier: Apache-2.0
// Label values that are known when the service is compiled: a look-up without text.
//
// Each value has a place among those of its enumeration, and the places together are the place of
// the series in one table. A compiler gives the cases of an enumeration without payloads the numbers
// 0, 1, 2 and so on, so for most of them the place is the byte that a case is; whether that is so is
// tried when the table is made, and where it is not, the place is looked up by its text.

/// The values of a label that has only these.
///
/// ```swift
/// enum Kind: String, LabelValue { case book, ticket }
/// ```
///
/// The raw value is the text of the label.
public protocol LabelValue: CaseIterable, RawRepresentable, Sendable where RawValue == String {}

/// The place of a label that a ``TypedFamily`` does not have.
public enum NoLabel: String, LabelValue {
    /// Its only value.
    case none = ""
}

/// The counters, gauges or histograms of a ``Family``, by label values that are no text.
///
/// All of its series are made at once, with zero, so that none is missing before its first event;
/// they count towards the family's ``SeriesLimit``, and what is beyond it is the overflow series. A
/// look-up takes no lock, no hash and no allocation (cost: docs/performance.md). Thread-safe; a copy
/// is the same family.
///
/// ```swift
/// let orders = Registry.shared.counter("orders_total", help: "Orders.", labels: ["kind", "payment"])
///     .typed(Kind.self, Payment.self)
/// orders.record(.book, .card) { $0.increment() }
/// ```
///
/// It keeps its instruments: one whose series was removed goes on working, unseen.
@safe
public struct TypedFamily<
    Instrument: AnyObject & Sendable, First: LabelValue, Second: LabelValue, Third: LabelValue
>: Sendable {
    @usableFromInline let first = LabelPlaces<First>()
    @usableFromInline let second = LabelPlaces<Second>()
    @usableFromInline let third = LabelPlaces<Third>()
    /// By place; none where there would be too many.
    @usableFromInline let instruments: [Instrument]
    /// The same, for those who do not keep one: counting references costs more than counting.
    // SAFETY: `instruments` has a reference to each of them.
    @usableFromInline let uncounted: [Unmanaged<Instrument>]
    private let family: Family<Instrument>
    private let labels: Int

    /// More combinations than these have no table.
    private static var most: Int { 65_536 }

    /// - Parameters:
    ///   - family: Whose instruments they are.
    ///   - labels: How many of the three labels there are.
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
    /// To keep; for a single recording ``record(_:_:_:_:)`` is quicker, above all from several threads.
    @inlinable
    public func with(_ first: First, _ second: Second, _ third: Third) -> Instrument {
        let index = place(of: first, second, third)
        guard index >= 0, index < instruments.count else {
            return find(first.rawValue, second.rawValue, third.rawValue)
        }
        return instruments[index]
    }

    /// Calls `body` with the instrument of these label values, in the order of the family's definition.
    ///
    /// ```swift
    /// orders.record(.book, .card) { $0.increment() }
    /// ```
    ///
    /// Threads that do so share nothing but the instrument itself: no count of references.
    @inlinable
    public func record(
        _ first: First, _ second: Second, _ third: Third, _ body: (Instrument) -> Void
    ) {
        let index = place(of: first, second, third)
        guard index >= 0, unsafe index < uncounted.count else {
            return body(find(first.rawValue, second.rawValue, third.rawValue))
        }
        // SAFETY: `self` keeps the instruments, and lives until `body` has ended.
        unsafe uncounted[index]._withUnsafeGuaranteedRef { body($0) }
        withExtendedLifetime(self) {}
    }

    /// Where the instrument of these values is; below zero if a type does not list its value.
    @inlinable
    func place(of first: First, _ second: Second, _ third: Third) -> Int {
        let places = (
            self.first.place(of: first), self.second.place(of: second), self.third.place(of: third)
        )
        let index = (places.0 &* self.second.count &+ places.1) &* self.third.count &+ places.2
        return places.0 | places.1 | places.2 < 0 ? -1 : index
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
    /// The same family, by values of its one label that are known when the service is compiled.
    ///
    /// A family with another number of labels gives instruments that work but are not exposed; each
    /// look-up is counted in `outrider_observations_refused_total`, and the first one is logged.
    public func typed<First: LabelValue>(
        _ first: First.Type
    ) -> TypedFamily<Instrument, First, NoLabel, NoLabel> {
        TypedFamily(self, labels: 1)
    }

    /// The same of two labels, in the order of the family's definition; see ``typed(_:)``.
    public func typed<First: LabelValue, Second: LabelValue>(
        _ first: First.Type, _ second: Second.Type
    ) -> TypedFamily<Instrument, First, Second, NoLabel> {
        TypedFamily(self, labels: 2)
    }

    /// The same of three labels, in the order of the family's definition; see ``typed(_:)``.
    public func typed<First: LabelValue, Second: LabelValue, Third: LabelValue>(
        _ first: First.Type, _ second: Second.Type, _ third: Third.Type
    ) -> TypedFamily<Instrument, First, Second, Third> {
        TypedFamily(self, labels: 3)
    }
}

/// Where each value of a label stands among all of them.
@usableFromInline struct LabelPlaces<Value: LabelValue>: Sendable {
    /// How many values there are.
    @usableFromInline let count: Int
    /// Whether the byte that a value is, is its place.
    @usableFromInline let isDense: Bool
    /// Places by text, where it is not.
    private let byText: [String: Int]

    init() {
        let all = Array(Value.allCases)
        count = all.count
        let isSmall = MemoryLayout<Value>.size <= 1 && all.count <= 256
        isDense = isSmall && all.enumerated().allSatisfy { Self.byte(of: $1) == $0 }
        let places = isDense ? [] : all.enumerated().map { ($1.rawValue, $0) }
        byText = Dictionary(places, uniquingKeysWith: { first, _ in first })
    }

    /// The place of a value; below zero for one that its type does not list.
    @inlinable
    func place(of value: Value) -> Int {
        isDense ? Self.byte(of: value) : placeByText(of: value)
    }

    /// The byte that a value is; 0 for the one value that takes no room.
    @inlinable
    static func byte(of value: Value) -> Int {
        if MemoryLayout<Value>.size == 0 { return 0 }
        // SAFETY: only asked where a value has no more than a byte.
        return Int(unsafe unsafeBitCast(value, to: UInt8.self))
    }

    @usableFromInline
    func placeByText(of value: Value) -> Int { byText[value.rawValue] ?? -1 }
}
