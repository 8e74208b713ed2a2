// SPDX-License-Identifier: Apache-2.0
// A number that goes up and down: one cell with the bits of a double.

/// Something that is now so much: connections open, items queued, a temperature.
///
/// Get one from a ``Registry`` (without labels) or from ``Family/with(_:)-(String)``, and keep it.
/// ``set(_:)-(Double)`` is one store; ``increment(by:)`` and ``decrement(by:)`` are lock-free and
/// repeat themselves when another thread came between. Safe from any thread, and valid even
/// after its series was removed; then nobody sees it. Every `Double` is allowed, NaN too.
public final class Gauge: Sendable {
    static let cellCount = 1

    // SAFETY: as in Counter.
    @usableFromInline let cell: Cell
    private let arena: CellArena

    init(in arena: CellArena) {
        cell = arena.allocate()
        self.arena = arena
    }

    deinit {
        arena.release(cell)
    }

    /// Makes it `value`.
    @inlinable
    public func set(_ value: Double) {
        cell.set(value)
        withExtendedLifetime(self) {}
    }

    /// Makes it `value`; exact up to 2^53.
    @inlinable
    public func set(_ value: Int) {
        cell.set(Double(value))
        withExtendedLifetime(self) {}
    }

    /// Adds `amount`, which may be negative.
    @inlinable
    public func increment(by amount: Double = 1) {
        cell.add(amount)
        withExtendedLifetime(self) {}
    }

    /// Adds a whole number, which may be negative; exact up to 2^53.
    @inlinable
    public func increment(by amount: Int) {
        cell.add(Double(amount))
        withExtendedLifetime(self) {}
    }

    /// Takes a whole number away, which may be negative; exact up to 2^53.
    @inlinable
    public func decrement(by amount: Int) {
        cell.add(-Double(amount))
        withExtendedLifetime(self) {}
    }

    /// Takes `amount` away, which may be negative.
    @inlinable
    public func decrement(by amount: Double = 1) {
        cell.add(-amount)
        withExtendedLifetime(self) {}
    }

    /// What it is now.
    public var value: Double { cell.double }
}
