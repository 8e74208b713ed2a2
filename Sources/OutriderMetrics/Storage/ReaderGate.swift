// SPDX-License-Identifier: Apache-2.0
// Lock-free readers, and when the memory they may be reading can be freed.
//
// A reader increments a counter on its CPU's stripe, reads, and decrements it: two atomic adds to a
// cache line that no other CPU touches. A writer first unpublishes an object and then hands it to a
// RetiredObjects. Later readers cannot see it, so it can be freed once each stripe has been seen
// empty. No thread waits: neither a reader nor the one that frees, which checks again the next
// time.

internal import COutriderCells
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Counts the readers in progress; one for the process.
@safe package struct ReaderGate: Sendable {
    /// With more CPUs than this, several share a stripe.
    static let stripeCount = 32
    /// Words from one stripe to the next: two cache lines, since CPUs fetch them in pairs.
    private static let stride = 16

    // SAFETY (of `@safe`): the memory is never freed, and only accessed by atomic operations.
    private nonisolated(unsafe) let stripes: UnsafeMutablePointer<Atomic<UInt64>>

    /// The gate of the process.
    package static let shared = ReaderGate()

    private init() {
        let count = Self.stripeCount * Self.stride
        unsafe stripes = .allocate(capacity: count)
        for index in 0..<count { unsafe (stripes + index).initialize(to: Atomic(0)) }
        // A forked child inherits the counts of readers, but not their threads.
        pthread_atfork(nil, nil) { ReaderGate.shared.forgetReaders() }
    }

    private func forgetReaders() {
        for stripe in 0..<Self.stripeCount {
            unsafe stripes[stripe * Self.stride].store(0, ordering: .relaxed)
        }
    }

    /// Calls `body`, which may read what is published now, but must not use it after returning.
    @inline(__always)
    package func whileReading<Result>(_ body: () -> Result) -> Result {
        let index = Int(outrider_cpu()) & (Self.stripeCount - 1)
        let stripe = unsafe stripes + index * Self.stride
        // ORDERING: sequentially consistent, so that either the reader sees that an object was
        // unpublished, or the thread that unpublished it sees the reader. Release at the end, so
        // that all reads happen before it.
        unsafe stripe.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        defer { unsafe stripe.pointee.wrappingSubtract(1, ordering: .releasing) }
        return body()
    }

    /// Whether a stripe has no readers at this moment.
    func isQuiet(_ stripe: Int) -> Bool {
        unsafe stripes[stripe * Self.stride].load(ordering: .sequentiallyConsistent) == 0
    }
}

/// Objects that readers may still be reading; its owner serializes access.
package struct RetiredObjects: Sendable {
    /// Objects that can be freed once each stripe in a bit set has been seen quiet.
    private var waiting: [any AnyObject & Sendable] = []
    private var unseen: UInt64 = 0
    /// Objects that were added later.
    private var next: [any AnyObject & Sendable] = []

    /// Creates an empty list.
    package init() {}

    package var count: Int { waiting.count + next.count }

    /// Adds an object that was just unpublished.
    package mutating func retire(_ object: any AnyObject & Sendable) {
        next.append(object)
    }

    /// Removes and returns the objects that no reader can be reading any more; the caller frees
    /// them, preferably without a lock.
    package mutating func reclaim(_ gate: ReaderGate) -> [any AnyObject & Sendable] {
        if waiting.isEmpty {
            if next.isEmpty { return [] }
            swap(&waiting, &next)
            unseen = (1 << UInt64(ReaderGate.stripeCount)) - 1
        }
        // A reader finishes within tens of nanoseconds, so a few checks are worthwhile.
        for _ in 0..<64 where unseen != 0 {
            for stripe in 0..<ReaderGate.stripeCount
            where unseen >> UInt64(stripe) & 1 == 1 && gate.isQuiet(stripe) {
                unseen &= ~(1 << UInt64(stripe))
            }
        }
        if unseen != 0 { return [] }
        defer { waiting = [] }
        return waiting
    }
}
