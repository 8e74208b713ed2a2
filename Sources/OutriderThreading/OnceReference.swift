// SPDX-License-Identifier: Apache-2.0
// A reference that is set once, by the first caller, and read by many without a lock.
//
// `Synchronization.AtomicLazyReference` does the same, but lives in a library that the compiler
// cannot specialize: a read takes some 700 instructions, where this takes one load.

public import Synchronization

// SAFETY: marked safe because the bits are either zero or those of an object that was retained for
// them, and do not change again before `deinit` releases it.

/// A reference to an object that is created later, at most once.
///
/// Public because only public code is inlined into other modules; no product exports this module,
/// so it is not part of the API.
@safe public struct OnceReference<Object: AnyObject & Sendable>: ~Copyable, Sendable {
    @usableFromInline let bits = Atomic<UInt>(0)

    /// Creates an empty reference.
    @inlinable
    public init() {}

    deinit {
        // ORDERING: relaxed; no other thread can access it during destruction.
        let raw = unsafe UnsafeRawPointer(bitPattern: bits.load(ordering: .relaxed))
        if let raw = unsafe raw { unsafe Unmanaged<Object>.fromOpaque(raw).release() }
    }

    /// The object; nil if it is not set.
    @inlinable
    public borrowing func load() -> Object? {
        // ORDERING: acquiring, so that all writes of the object's creator are visible.
        let raw = unsafe UnsafeRawPointer(bitPattern: bits.load(ordering: .acquiring))
        guard let raw = unsafe raw else { return nil }
        return unsafe Unmanaged<Object>.fromOpaque(raw).takeUnretainedValue()
    }

    /// Calls `body` with the object, without counting a reference; nil if it is not set.
    @inlinable
    public borrowing func withObject<Result>(_ body: (Object) -> Result) -> Result? {
        // ORDERING: as in `load`.
        let raw = unsafe UnsafeRawPointer(bitPattern: bits.load(ordering: .acquiring))
        guard let raw = unsafe raw else { return nil }
        // SAFETY: this reference keeps the object alive while `body` runs.
        return unsafe Unmanaged<Object>.fromOpaque(raw)._withUnsafeGuaranteedRef(body)
    }

    /// Sets the reference to `new` unless it is already set; returns the object that it refers to.
    @inlinable
    public borrowing func storeIfNil(_ new: Object) -> Object {
        let retained = unsafe Unmanaged.passRetained(new)
        // ORDERING: releasing for the new object, acquiring for an existing one.
        let (stored, found) = unsafe bits.compareExchange(
            expected: 0, desired: UInt(bitPattern: retained.toOpaque()),
            successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring)
        if stored { return new }
        unsafe retained.release()
        guard let raw = unsafe UnsafeRawPointer(bitPattern: found) else { return new }
        return unsafe Unmanaged<Object>.fromOpaque(raw).takeUnretainedValue()
    }
}
