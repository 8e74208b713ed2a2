// SPDX-License-Identifier: Apache-2.0
// A gauge: one cell with the bits of a double.

/// A value that can go up and down: open connections, queued items, a temperature.
///
/// Get one from a ``Registry`` (without labels) or from ``Family/with(_:)-(String)``, and keep it.
/// ``set(_:)-(Double)`` is one store; ``increment(by:)`` and ``decrement(by:)`` are lock-free and
/// retry if another thread changed the value. Safe from any thread. It stays valid after its series
/// was removed, but is then no longer exposed. Every `Double` is allowed, including NaN.
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

    /// Sets the gauge to `value`.
    @inlinable
    public func set(_ value: Double) {
        cell.set(value)
        withExtendedLifetime(self) {}
    }

    /// Sets the gauge to `value`; exact up to 2^53.
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

    /// Subtracts a whole number, which may be negative; exact up to 2^53.
    @inlinable
    public func decrement(by amount: Int) {
        cell.add(-Double(amount))
        withExtendedLifetime(self) {}
    }

    /// Subtracts `amount`, which may be negative.
    @inlinable
    public func decrement(by amount: Double = 1) {
        cell.add(-amount)
        withExtendedLifetime(self) {}
    }

    /// The current value.
    public var value: Double { cell.double }
}
