// SPDX-License-Identifier: Apache-2.0
// The exemplars of one series: at most one for a counter or for each bucket of a histogram.
//
// A series without exemplars has none of this. With them, a slot takes a new one at most once a
// second, so that a route with 100,000 requests a second renders one and not 100,000; the others
// pay one clock and one load. Slots are taken by a compare-and-exchange of the time, so two threads
// never render for the same second.

internal import OutriderThreading
internal import Synchronization

/// Exemplars of one series; thread-safe.
final class ExemplarSlots: Sendable {
    /// How long an exemplar stays at least.
    private static let intervalMilliseconds: UInt64 = 1_000

    private final class Slot: Sendable {
        /// When the exemplar was taken, in milliseconds of the clock's uptime and one; 0 for never.
        let taken = Atomic<UInt64>(0)
        let rendered = Guarded<[UInt8]>([])
    }

    private let slots: [Slot]

    init(_ count: Int) {
        slots = (0..<count).map { _ in Slot() }
    }

    /// Takes `exemplar` if it is time for a new one; asks for it only then.
    ///
    /// `milliseconds` is the clock's uptime, for those who know it already.
    func offer(
        _ exemplar: () -> Exemplar?, value: Double, at index: Int, _ surroundings: Surroundings,
        milliseconds: UInt64?
    ) {
        let slot = slots[index]
        let now = (milliseconds ?? surroundings.coarseMilliseconds) + 1
        // ORDERING: relaxed; the time guards no memory, the text has its own lock.
        let last = slot.taken.load(ordering: .relaxed)
        if last != 0, now < last + Self.intervalMilliseconds { return }
        guard let exemplar = exemplar() else { return }
        if let problem = exemplar.problem {
            surroundings.diagnostics.refuse(
                problem,
                """
                an exemplar was refused: it has at most \(Exemplar.lengthLimit) characters, and \
                label names of ASCII letters, digits and "_", each once, and no NUL
                """)
            return
        }
        let isOurs = slot.taken.compareExchange(
            expected: last, desired: now, ordering: .relaxed
        ).exchanged
        guard isOurs else { return }
        let text = exemplar.rendered(value: value, at: surroundings.clock.secondsSinceEpoch)
        slot.rendered.withLock { $0 = text }
    }

    /// The end of a line with the exemplar; empty if there is none.
    func rendered(at index: Int) -> [UInt8] {
        slots[index].rendered.withLock { $0 }
    }
}

/// The exemplars of an instrument, made when the first one is given.
struct LazyExemplars: ~Copyable, Sendable {
    private let slots = OnceReference<ExemplarSlots>()

    /// Offers an exemplar to the slot at `index` of `count`.
    func offer(
        _ exemplar: () -> Exemplar?, value: Double, at index: Int, of count: Int,
        in arena: CellArena, milliseconds: UInt64? = nil
    ) {
        if let slots = slots.load() {
            return slots.offer(
                exemplar, value: value, at: index, arena.surroundings, milliseconds: milliseconds)
        }
        // A service that never has an exemplar to give pays for none.
        guard let first = exemplar() else { return }
        slots.storeIfNil(ExemplarSlots(count))
            .offer(
                { first }, value: value, at: index, arena.surroundings, milliseconds: milliseconds)
        arena.noteExemplar()
    }

    /// The slots, if an exemplar was ever given.
    var made: ExemplarSlots? { slots.load() }
}
