// SPDX-License-Identifier: Apache-2.0
// A number that only grows.
//
// Two cells side by side: whole increments go to an integer, fractions to a double. The integer
// add is one instruction without a retry, and whole counts stay exact up to 2^62. A scrape prints
// their sum; it may catch one of the two a moment before the other, which no reader can tell from
// a scrape a moment earlier.

internal import OutriderThreading

/// Something counted: requests, bytes, errors, seconds spent.
///
/// It cannot go down; see ``Gauge``.
///
/// Get one from a ``Registry`` (without labels) or from ``Family/with(_:)-(String)``, and keep it:
/// recording takes no lock, no allocation and no clock (cost: docs/performance.md).
/// Safe from any thread, and valid even after its series was removed; then nobody sees it.
///
/// A negative, infinite or NaN increment is refused and counted in
/// `outrider_observations_refused_total{reason}`.
public final class Counter: Sendable {
    static let cellCount = 2

    // SAFETY: the cell is valid while `self` is, whose `deinit` gives it back. Inlined into another
    // module, nothing but `withExtendedLifetime` says that `self` must outlive the access.
    @usableFromInline let cells: SeriesCells
    private let arena: CellArena
    private let exemplars = LazyExemplars()

    init(in arena: CellArena) {
        cells = SeriesCells(arena.allocate())
        self.arena = arena
    }

    deinit {
        cells.giveBack(Self.cellCount, to: arena)
    }

    /// The first of its cells in the arena.
    var firstCell: Cell { cells.numbers.cell }

    /// Adds one.
    @inlinable
    public func increment() {
        if cells.add(1) { warmUp() }
        withExtendedLifetime(self) {}
    }

    /// Adds a whole number; a negative one is refused and counted.
    @inlinable
    public func increment(by amount: Int) {
        // One comparison for both ends: a negative amount has the highest bit set.
        let bits = UInt64(bitPattern: Int64(amount))
        guard bits < Self.smallLimit else { return incrementByMuch(amount) }
        if cells.add(bits) { warmUp() }
        withExtendedLifetime(self) {}
    }

    /// Smaller amounts are added without a look at the sum: billions of them do not wrap it around.
    @inlinable static var smallLimit: UInt64 { 1 << 32 }

    /// One at a time adds what so few threads at once could wrap the integer around with.
    private static let additionsOfHugeAmounts = Guarded(())

    /// Adds what is not small, or negative: to the integer while that cannot wrap around, however many
    /// threads do so at once, and then as a fraction.
    @usableFromInline
    func incrementByMuch(_ amount: Int) {
        guard amount >= 0 else { return increment(by: Double(amount)) }
        let isAdded =
            amount < 1 << 54
            ? addsToInteger(amount)
            : Self.additionsOfHugeAmounts.withLock { _ in addsToInteger(amount) }
        if !isAdded { increment(by: Double(amount)) }
    }

    private func addsToInteger(_ amount: Int) -> Bool {
        guard cells.numbers.integer(at: 0) < 1 << 62 else { return false }
        if cells.add(UInt64(amount)) { warmUp() }
        return true
    }

    /// Adds a fraction; a negative, infinite or NaN one is refused and counted.
    ///
    /// Lock-free; repeats itself when another thread adds a fraction at the same moment.
    @inlinable
    public func increment(by amount: Double) {
        guard amount >= 0, amount < .infinity else { return refuse(amount) }
        if cells.add(fraction: amount, at: 1) { warmUp() }
        withExtendedLifetime(self) {}
    }

    /// Adds one, and offers an example of what was counted.
    ///
    /// `exemplar` is not asked for within a second of the last one; `nil` gives none, and the next
    /// increment is asked again. See ``Exemplar``.
    public func increment(exemplar: @autoclosure () -> Exemplar?) {
        increment()
        exemplars.offer(exemplar, value: 1, at: 0, of: 1, in: arena)
    }

    /// Adds a fraction or a whole number, and offers an example of what was counted.
    ///
    /// What is refused of the amount is refused of the exemplar too.
    public func increment(by amount: Double, exemplar: @autoclosure () -> Exemplar?) {
        increment(by: amount)
        guard amount >= 0, amount < .infinity else { return }
        exemplars.offer(exemplar, value: amount, at: 0, of: 1, in: arena)
    }

    /// The end of the series' line in OpenMetrics; nil if it never had an exemplar.
    var exemplarSlots: ExemplarSlots? { exemplars.made }

    /// Makes it zero, for swift-metrics; an addition at this moment may be lost or stay.
    func reset() {
        cells.reset(Self.cellCount, in: arena)
    }

    /// What was counted so far.
    ///
    /// For tests and logs; a scrape reads the cells themselves.
    public var value: Double {
        let numbers = cells.numbers
        return Double(numbers.integer(at: 0)) + numbers.double(at: 1)
    }

    @usableFromInline
    @inline(never)
    func warmUp() { cells.warmUp(Self.cellCount, in: arena) }

    @usableFromInline
    func refuse(_ amount: Double) {
        let reason: RefusedObservation =
            amount.isNaN ? .notANumber : amount < 0 ? .negative : .infinite
        arena.surroundings.diagnostics.refuse(
            reason, "a counter was asked to grow by \(amount); a counter only grows, use a gauge")
    }
}
