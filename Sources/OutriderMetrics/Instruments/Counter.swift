// SPDX-License-Identifier: Apache-2.0
// A counter: a value that only grows.
//
// It has two adjacent cells: whole increments go to an integer, fractions to a double. The integer
// add is one instruction without a retry, and whole counts stay exact up to 2^62. A scrape exposes
// their sum. It may read one cell a moment before the other, which looks the same to a reader as a
// slightly earlier scrape.

internal import OutriderThreading

/// A value that only grows: requests, bytes, errors, seconds spent.
///
/// For a value that can also go down, use ``Gauge``.
///
/// Get one from a ``Registry`` (without labels) or from ``Family/with(_:)-(String)``, and keep it:
/// recording takes no lock, allocates nothing and reads no clock (cost: docs/performance.md). Safe
/// from any thread. It stays valid after its series was removed, but is then no longer exposed.
///
/// A negative, infinite or NaN increment is refused and counted in
/// `outrider_observations_refused_total{reason}`.
public final class Counter: Sendable {
    static let cellCount = 2

    // SAFETY: the cells are valid while `self` is; its `deinit` releases them. In code inlined into
    // another module, only `withExtendedLifetime` keeps `self` alive until the access is done.
    @usableFromInline let cells: SeriesCells
    private let arena: CellArena
    private let exemplars = LazyExemplars()

    init(in arena: CellArena) {
        cells = SeriesCells(arena.allocate())
        self.arena = arena
    }

    deinit {
        cells.release(Self.cellCount, to: arena)
    }

    /// The first of its cells in the arena.
    var firstCell: Cell { cells.numbers.cell }

    /// Adds one.
    @inlinable
    public func increment() {
        if cells.add(1) { addRowsIfBusy() }
        withExtendedLifetime(self) {}
    }

    /// Adds a whole number; a negative number is refused and counted.
    @inlinable
    public func increment(by amount: Int) {
        // One comparison checks both ends: a negative amount has the highest bit set.
        let bits = UInt64(bitPattern: Int64(amount))
        guard bits < Self.smallLimit else { return incrementByMuch(amount) }
        if cells.add(bits) { addRowsIfBusy() }
        withExtendedLifetime(self) {}
    }

    /// Smaller amounts are added without checking the sum: it would take billions of them to
    /// overflow.
    @inlinable static var smallLimit: UInt64 { 1 << 32 }

    /// Serializes amounts so large that a few concurrent additions could overflow the integer.
    private static let additionsOfHugeAmounts = Guarded(())

    /// Adds a large or negative amount: to the integer if no number of concurrent additions can
    /// make it overflow, otherwise as a fraction.
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
        if cells.add(UInt64(amount)) { addRowsIfBusy() }
        return true
    }

    /// Adds a fraction; a negative, infinite or NaN amount is refused and counted.
    ///
    /// Lock-free; retries if another thread adds a fraction at the same time.
    @inlinable
    public func increment(by amount: Double) {
        guard amount >= 0, amount < .infinity else { return refuse(amount) }
        if cells.add(fraction: amount, at: 1) { addRowsIfBusy() }
        withExtendedLifetime(self) {}
    }

    /// Adds one, and offers an exemplar of what was counted.
    ///
    /// `exemplar` is not evaluated within a second of the last exemplar. If it returns `nil`, the
    /// next increment evaluates it again. See ``Exemplar``.
    public func increment(exemplar: @autoclosure () -> Exemplar?) {
        increment()
        exemplars.offer(exemplar, value: 1, at: 0, of: 1, in: arena)
    }

    /// Adds a fraction or a whole number, and offers an exemplar of what was counted.
    ///
    /// If the amount is refused, so is the exemplar.
    public func increment(by amount: Double, exemplar: @autoclosure () -> Exemplar?) {
        increment(by: amount)
        guard amount >= 0, amount < .infinity else { return }
        exemplars.offer(exemplar, value: amount, at: 0, of: 1, in: arena)
    }

    /// The exemplar that ends the series' line in OpenMetrics; nil if there never was one.
    var exemplarSlots: ExemplarSlots? { exemplars.made }

    /// Sets the counter to zero, for swift-metrics; a concurrent addition may or may not be lost.
    func reset() {
        cells.reset(Self.cellCount, in: arena)
    }

    /// The value so far.
    ///
    /// For tests and logs; a scrape reads the cells directly.
    public var value: Double {
        let numbers = cells.numbers
        return Double(numbers.integer(at: 0)) + numbers.double(at: 1)
    }

    @usableFromInline
    @inline(never)
    func addRowsIfBusy() { cells.addRowsIfBusy(Self.cellCount, in: arena) }

    @usableFromInline
    func refuse(_ amount: Double) {
        let reason: RefusedObservation =
            amount.isNaN ? .notANumber : amount < 0 ? .negative : .infinite
        arena.context.diagnostics.refuse(
            reason, "counter increment \(amount) rejected; a counter only grows, use a gauge")
    }
}
