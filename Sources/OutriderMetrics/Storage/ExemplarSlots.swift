// SPDX-License-Identifier: Apache-2.0
// The exemplars of one series: at most one for a counter or for each bucket of a histogram.
//
// They are allocated with the first exemplar. A slot accepts a new exemplar at most once a second,
// so that a route with 100,000 requests a second renders one and not 100,000; the other requests
// only read the clock and load a word. A compare-and-exchange of the time claims a slot, so two
// threads never render for the same second.

internal import OutriderThreading
internal import Synchronization

/// Exemplars of one series; thread-safe.
final class ExemplarSlots: Sendable {
    /// The minimum time between two exemplars of a slot.
    private static let intervalMilliseconds: UInt64 = 1_000

    private final class Slot: Sendable {
        /// When the exemplar was taken, in milliseconds of the clock's uptime plus one; 0 for
        /// never.
        let taken = Atomic<UInt64>(0)
        let rendered = Guarded<[UInt8]>([])
    }

    private let slots: [Slot]

    init(_ count: Int) {
        slots = (0..<count).map { _ in Slot() }
    }

    /// Evaluates and stores `exemplar` if the slot accepts a new one.
    ///
    /// `milliseconds` is the clock's uptime, for callers that have already read it.
    func offer(
        _ exemplar: () -> Exemplar?, value: Double, at index: Int, _ context: RegistryContext,
        milliseconds: UInt64?
    ) {
        let slot = slots[index]
        let now = (milliseconds ?? context.coarseMilliseconds) + 1
        // ORDERING: relaxed; the time does not guard other memory, and the text has its own lock.
        let last = slot.taken.load(ordering: .relaxed)
        if last != 0, now < last + Self.intervalMilliseconds { return }
        guard let exemplar = exemplar() else { return }
        if let problem = exemplar.problem {
            context.diagnostics.refuse(
                problem,
                """
                exemplar rejected: it may have at most \(Exemplar.lengthLimit) characters, unique label \
                names of ASCII letters, digits and "_", and no NUL
                """)
            return
        }
        let isOurs = slot.taken.compareExchange(
            expected: last, desired: now, ordering: .relaxed
        ).exchanged
        guard isOurs else { return }
        let text = exemplar.rendered(value: value, at: context.clock.secondsSinceEpoch)
        slot.rendered.withLock { $0 = text }
    }

    /// The exemplar as the end of a line; empty if there is none.
    func rendered(at index: Int) -> [UInt8] {
        slots[index].rendered.withLock { $0 }
    }
}

/// The exemplars of an instrument, allocated with the first one.
struct LazyExemplars: ~Copyable, Sendable {
    private let slots = OnceReference<ExemplarSlots>()

    /// Offers an exemplar to the slot at `index` of `count`.
    func offer(
        _ exemplar: () -> Exemplar?, value: Double, at index: Int, of count: Int,
        in arena: CellArena, milliseconds: UInt64? = nil
    ) {
        if let slots = slots.load() {
            return slots.offer(
                exemplar, value: value, at: index, arena.context, milliseconds: milliseconds)
        }
        // A service that never offers an exemplar allocates nothing.
        guard let first = exemplar() else { return }
        slots.storeIfNil(ExemplarSlots(count))
            .offer(
                { first }, value: value, at: index, arena.context, milliseconds: milliseconds)
        arena.noteExemplar()
    }

    /// The slots, if an exemplar was ever given.
    var made: ExemplarSlots? { slots.load() }
}
