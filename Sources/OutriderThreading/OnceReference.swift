// SPDX-License-Identifier: Apache-2.0
// A reference that is set once, by whoever comes first, and read by many without a lock.
//
// `Synchronization.AtomicLazyReference` does the same, but lives in a library that the compiler
// cannot specialize: reading one takes some 700 instructions, where this takes a load.

public import Synchronization

// SAFETY: marked safe since the bits are either zero or those of an object that was retained for
// them, and they never change again before `deinit` releases it.

/// A reference to an object that is made later, at most once.
///
/// Public, since only public code is inlined into other modules; no product offers this one, so it
/// is not part of the API.
@safe public struct OnceReference<Object: AnyObject & Sendable>: ~Copyable, Sendable {
    @usableFromInline let bits = Atomic<UInt>(0)

    /// A reference to nothing yet.
    @inlinable
    public init() {}

    deinit {
        // ORDERING: relaxed; nobody else can reach what is being destroyed.
        let raw = unsafe UnsafeRawPointer(bitPattern: bits.load(ordering: .relaxed))
        if let raw = unsafe raw { unsafe Unmanaged<Object>.fromOpaque(raw).release() }
    }

    /// The object; nil if there is none yet.
    @inlinable
    public borrowing func load() -> Object? {
        // ORDERING: acquiring, so that the object is seen as its maker left it.
        let raw = unsafe UnsafeRawPointer(bitPattern: bits.load(ordering: .acquiring))
        guard let raw = unsafe raw else { return nil }
        return unsafe Unmanaged<Object>.fromOpaque(raw).takeUnretainedValue()
    }

    /// Calls `body` with the object, without counting a reference; nil if there is none yet.
    @inlinable
    public borrowing func withObject<Result>(_ body: (Object) -> Result) -> Result? {
        // ORDERING: as in `load`.
        let raw = unsafe UnsafeRawPointer(bitPattern: bits.load(ordering: .acquiring))
        guard let raw = unsafe raw else { return nil }
        // SAFETY: this holds a reference to the object for longer than `body` runs.
        return unsafe Unmanaged<Object>.fromOpaque(raw)._withUnsafeGuaranteedRef(body)
    }

    /// Makes it refer to `new` unless it refers to something already; returns what it refers to.
    @inlinable
    public borrowing func storeIfNil(_ new: Object) -> Object {
        let retained = unsafe Unmanaged.passRetained(new)
        // ORDERING: releasing for the new object, acquiring for one that came before.
        let (stored, found) = unsafe bits.compareExchange(
            expected: 0, desired: UInt(bitPattern: retained.toOpaque()),
            successOrdering: .acquiringAndReleasing, failureOrdering: .acquiring)
        if stored { return new }
        unsafe retained.release()
        guard let raw = unsafe UnsafeRawPointer(bitPattern: found) else { return new }
        return unsafe Unmanaged<Object>.fromOpaque(raw).takeUnretainedValue()
    }
}
