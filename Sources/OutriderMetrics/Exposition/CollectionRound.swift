// SPDX-License-Identifier: Apache-2.0
// Calls the collectors of one scrape within its time limit.
//
// A collector is code of the service and may hang: on a lock, on a dead network file system. So
// collectors never run on the scrape's own thread. One thread calls them one after the other; if a
// collector is slow, another thread continues with the ones after it. At the limit, collectors that
// have not returned are left out.
//
//     scrape ──start──▶ thread 1: a ✓  b ………………………………… (abandoned; noted when it returns)
//        │ waits            50 ms without a result
//        │        ──start──▶ thread 2: c ✓  d ✓
//        ◀──────────── all have returned, or the limit ────┘
//
// A collector that another scrape has abandoned is not called until it has returned; this scrape
// waits for that within its own limit. A registry has few threads beyond the first of each round: a
// hundred callbacks that wait for one lock must not become a hundred threads.

internal import OutriderThreading
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// One pass over the collectors; for a single use.
final class CollectionRound: Sendable {
    /// After this long without a result, another thread continues with the remaining collectors.
    private static let patience: Duration = .milliseconds(50)
    /// The maximum number of threads of a registry beyond the first of each round.
    private static let moreThreads = 8
    /// How often a thread checks whether a call that another scrape abandoned has returned.
    private static let lookMicroseconds: UInt32 = 5_000

    private struct State: Sendable {
        /// The collectors to call; released when the round is over, not when its last thread is.
        var plans: [CollectionPlan]
        var next = 0
        var answered = 0
        var isOver = false
        var answers: [[CollectedSamples.Series]?]
        /// The calls in progress, and when they started.
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

    /// The samples of each collector, in the order of the plans; nil for those that failed or did
    /// not return within `limit`.
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
        // ORDERING: relaxed; the count does not guard other memory.
        let count = registry.collectionThreads.wrappingAdd(1, ordering: .relaxed).newValue
        let isStarted =
            count <= Self.moreThreads
            && DetachedThread.start { [self] in
                askTheRest()
                registry.collectionThreads.wrappingSubtract(1, ordering: .relaxed)
            }
        if !isStarted { registry.collectionThreads.wrappingSubtract(1, ordering: .relaxed) }
    }

    /// Calls one collector after the other until none is left.
    private func askTheRest() {
        while true {
            // This scope holds no reference to a collector when the scrape continues.
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

    /// Ends the round; collectors that have not returned are left out.
    private func close() -> [[CollectedSamples.Series]?] {
        let over = state.withLock { state in
            state.isOver = true
            for (index, start) in state.asked { state.plans[index].noteAbandoned(since: start) }
            // Objects of the service that the round holds are released outside the lock.
            defer { state.plans = [] }
            return state
        }
        let figures = registry.scrapeFigures
        let now = registry.surroundings.clock.uptime
        for (index, start) in over.asked {
            figures.note(over.plans[index], took: now - start)
            over.plans[index].fail("it did not return in time", figures)
        }
        for plan in over.plans[over.next...] {
            plan.fail("there was no time or no thread left to call it", figures)
        }
        return over.answers
    }
}
