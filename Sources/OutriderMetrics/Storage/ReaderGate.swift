// SPDX-License-Identifier: Apache-2.0
// Readers without a lock, and when what they may be reading can be freed.
//
// A reader counts itself in on its CPU's stripe, reads, and counts itself out: two atomic adds to a
// line that no other CPU touches. Who takes something out of the readers' sight hands it to a
// Graveyard. Whoever came in after that cannot see it, so it may go as soon as each stripe was seen
// empty once. Nobody waits: not a reader, and not who frees, who looks again the next time.

internal import COutriderCells
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Where readers count themselves in and out; one for the process.
@safe package struct ReaderGate: Sendable {
    /// One more than these CPUs share a stripe with another.
    static let stripeCount = 32
    /// Words from one stripe to the next: two cache lines, since they are fetched in pairs.
    private static let stride = 16

    // SAFETY (of `@safe`): the memory is never freed, and only reached by atomic operations.
    private nonisolated(unsafe) let stripes: UnsafeMutablePointer<Atomic<UInt64>>

    /// The gate of the process.
    package static let shared = ReaderGate()

    private init() {
        let count = Self.stripeCount * Self.stride
        unsafe stripes = .allocate(capacity: count)
        for index in 0..<count { unsafe (stripes + index).initialize(to: Atomic(0)) }
        // A forked child has none of the threads that were reading at that moment, but their counts.
        pthread_atfork(nil, nil) { ReaderGate.shared.forgetReaders() }
    }

    private func forgetReaders() {
        for stripe in 0..<Self.stripeCount {
            unsafe stripes[stripe * Self.stride].store(0, ordering: .relaxed)
        }
    }

    /// Calls `body`, which may read what is in sight now, and nothing after it has returned.
    @inline(__always)
    package func whileReading<Result>(_ body: () -> Result) -> Result {
        let number = Int(outrider_cpu()) & (Self.stripeCount - 1)
        let stripe = unsafe stripes + number * Self.stride
        // ORDERING: sequentially consistent, so that either the reader sees that something was taken
        // out of sight, or who took it out sees the reader. Releasing at the end: what was read was
        // read before.
        unsafe stripe.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        defer { unsafe stripe.pointee.wrappingSubtract(1, ordering: .releasing) }
        return body()
    }

    /// Whether nobody reads on a stripe at this moment.
    func isQuiet(_ stripe: Int) -> Bool {
        unsafe stripes[stripe * Self.stride].load(ordering: .sequentiallyConsistent) == 0
    }
}

/// What readers may still be reading; its owner keeps all but one thread away.
package struct Graveyard: Sendable {
    /// Those of which each stripe has to be seen quiet yet, in a set of bits.
    private var waiting: [any AnyObject & Sendable] = []
    private var unseen: UInt64 = 0
    /// Those that came later.
    private var next: [any AnyObject & Sendable] = []

    /// Objects that are not freed yet.
    package init() {}

    package var count: Int { waiting.count + next.count }

    /// Takes an object that was just taken out of the readers' sight.
    package mutating func bury(_ object: any AnyObject & Sendable) {
        next.append(object)
    }

    /// Lets go of those that nobody can be reading any more; they are freed by the caller, best
    /// without a lock.
    package mutating func dig(_ gate: ReaderGate) -> [any AnyObject & Sendable] {
        if waiting.isEmpty {
            if next.isEmpty { return [] }
            swap(&waiting, &next)
            unseen = (1 << UInt64(ReaderGate.stripeCount)) - 1
        }
        // A reader is gone after some ten nanoseconds, so a few looks are worth their while.
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
