// SPDX-License-Identifier: Apache-2.0
// The collectors of one scrape, asked within its limit.
//
// A collector is code of the service's own and may hang: on a lock, on a dead network file system.
// So none runs on the scrape's thread, unless there is no other to be had. A thread asks one after
// the other; should one take its time, another goes on with those behind it. At the limit, whoever
// has not answered is left out.
//
//     scrape ──start──▶ thread 1: a ✓  b ………………………………… (abandoned; says so when it returns)
//        │ waits            no answer for a moment
//        │        ──start──▶ thread 2: c ✓  d ✓
//        ◀──────────── all answered, or the limit ────┘
//
// A collector that another scrape has abandoned is not asked before it has returned; for as long as
// it may yet do so, this scrape waits too. Threads beyond the first of a round are few for a whole
// registry: a hundred callbacks that wait for one lock must not become a hundred threads.

internal import OutriderThreading
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// One round through the collectors; for one use.
final class CollectionRound: Sendable {
    /// Without an answer for this long, another thread takes over the rest.
    private static let patience: Duration = .milliseconds(50)
    /// Threads beyond the first of each round that a registry may have at one time.
    private static let moreThreads = 8
    /// How often a thread looks whether a call has come back that another scrape gave up.
    private static let lookMicroseconds: UInt32 = 5_000

    private struct State: Sendable {
        /// Those to be asked; let go when the round is over, not when its last thread is.
        var plans: [CollectionPlan]
        var next = 0
        var answered = 0
        var isOver = false
        var answers: [[CollectedSamples.Series]?]
        /// Those being asked now, and since when.
        var asked: [Int: Duration] = [:]

        var isAnyLeft: Bool { next < plans.count }
    }

    private enum Step {
        case asked
        case askedTheLast
        case nothingLeft
    }

    private let registry: Registry
    private let state: Guarded<State>
    private let allAnswered = Latch()

    init(_ plans: [CollectionPlan], in registry: Registry) {
        self.registry = registry
        state = Guarded(State(plans: plans, answers: Array(repeating: nil, count: plans.count)))
    }

    /// What each collector has to say, in the order of the plans; nil for those that failed or did
    /// not answer within `limit`.
    func run(within limit: Duration) -> [[CollectedSamples.Series]?] {
        if !state.withLock({ $0.isAnyLeft }) { return [] }
        let deadline = ContinuousClock.now + limit
        if !DetachedThread.start({ [self] in askTheRest() }) { return close() }
        var seen = 0
        while true {
            let left = deadline - .now
            if allAnswered.wait(for: min(left, Self.patience)) || left <= .zero { break }
            let (answered, isAnyLeft) = state.withLock { ($0.answered, $0.isAnyLeft) }
            if answered == seen, isAnyLeft { startAnotherThread() }
            seen = answered
        }
        return close()
    }

    private func startAnotherThread() {
        // ORDERING: relaxed; the count guards no memory.
        let count = registry.collectionThreads.wrappingAdd(1, ordering: .relaxed).newValue
        let isStarted =
            count <= Self.moreThreads
            && DetachedThread.start { [self] in
                askTheRest()
                registry.collectionThreads.wrappingSubtract(1, ordering: .relaxed)
            }
        if !isStarted { registry.collectionThreads.wrappingSubtract(1, ordering: .relaxed) }
    }

    /// Asks one collector after the other until there is none left.
    private func askTheRest() {
        while true {
            // Nothing of a collector is held here when the scrape goes on.
            switch askNext() {
            case .asked: continue
            case .askedTheLast: allAnswered.open()
            case .nothingLeft: return
            }
        }
    }

    private func askNext() -> Step {
        let clock = registry.surroundings.clock
        let start = clock.uptime
        let taken: (index: Int, plan: CollectionPlan)? = state.withLock { state in
            guard !state.isOver, state.isAnyLeft else { return nil }
            defer { state.next += 1 }
            state.asked[state.next] = start
            return (state.next, state.plans[state.next])
        }
        guard let (index, plan) = taken else { return .nothingLeft }
        while plan.isStuck, !state.withLock({ $0.isOver }) { usleep(Self.lookMicroseconds) }
        if state.withLock({ $0.isOver }) {
            plan.noteReturn()
            return .nothingLeft
        }
        let answer = plan.collectReporting(to: registry.scrapeFigures)
        let duration = clock.uptime - start
        let step: Step = state.withLock { state in
            if state.isOver {
                plan.noteReturn()
                return .nothingLeft
            }
            state.asked[index] = nil
            state.answers[index] = answer
            state.answered += 1
            return state.answered == state.plans.count ? .askedTheLast : .asked
        }
        if step != .nothingLeft {
            registry.scrapeFigures.note(plan, took: duration)
            if answer != nil { plan.noteSuccess() }
        }
        return step
    }

    /// Takes no more answers; whoever has not given one is left out.
    private func close() -> [[CollectedSamples.Series]?] {
        let over = state.withLock { state in
            state.isOver = true
            for (index, start) in state.asked { state.plans[index].noteAbandoned(since: start) }
            // What the round held of the service goes outside the lock.
            defer { state.plans = [] }
            return state
        }
        let figures = registry.scrapeFigures
        let now = registry.surroundings.clock.uptime
        for (index, start) in over.asked {
            figures.note(over.plans[index], took: now - start)
            over.plans[index].fail("it did not answer in time", figures)
        }
        for plan in over.plans[over.next...] {
            plan.fail("there was no time or no thread left to ask it", figures)
        }
        return over.answers
    }
}
