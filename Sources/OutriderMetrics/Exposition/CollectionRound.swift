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
    private static let pollMicroseconds: UInt32 = 5_000

    private struct State: Sendable {
        /// The collectors to call; released when the round is over, not when its last thread is.
        var plans: [CollectionPlan]
        var next = 0
        var returned = 0
        var isOver = false
        var results: [[CollectedSamples.Series]?]
        /// The calls in progress, and when they started.
        var running: [Int: Duration] = [:]

        var isAnyLeft: Bool { next < plans.count }
    }

    private enum Step {
        case called
        case calledLast
        case finished
    }

    private let registry: Registry
    private let state: Guarded<State>
    private let allReturned = Latch()

    init(_ plans: [CollectionPlan], in registry: Registry) {
        self.registry = registry
        state = Guarded(State(plans: plans, results: Array(repeating: nil, count: plans.count)))
    }

    /// The samples of each collector, in the order of the plans; nil for those that failed or did
    /// not return within `limit`.
    func run(within limit: Duration) -> [[CollectedSamples.Series]?] {
        if !state.withLock({ $0.isAnyLeft }) { return [] }
        let deadline = ContinuousClock.now + limit
        if !DetachedThread.start({ [self] in callRemaining() }) { return close() }
        var seen = 0
        while true {
            let left = deadline - .now
            if allReturned.wait(for: min(left, Self.patience)) || left <= .zero { break }
            let (returned, isAnyLeft) = state.withLock { ($0.returned, $0.isAnyLeft) }
            if returned == seen, isAnyLeft { startAnotherThread() }
            seen = returned
        }
        return close()
    }

    private func startAnotherThread() {
        // ORDERING: relaxed; the count does not guard other memory.
        let count = registry.collectionThreads.wrappingAdd(1, ordering: .relaxed).newValue
        let isStarted =
            count <= Self.moreThreads
            && DetachedThread.start { [self] in
                callRemaining()
                registry.collectionThreads.wrappingSubtract(1, ordering: .relaxed)
            }
        if !isStarted { registry.collectionThreads.wrappingSubtract(1, ordering: .relaxed) }
    }

    /// Calls one collector after the other until none is left.
    private func callRemaining() {
        while true {
            // This scope holds no reference to a collector when the scrape continues.
            switch callNext() {
            case .called: continue
            case .calledLast: allReturned.open()
            case .finished: return
            }
        }
    }

    private func callNext() -> Step {
        let clock = registry.context.clock
        let start = clock.uptime
        let taken: (index: Int, plan: CollectionPlan)? = state.withLock { state in
            guard !state.isOver, state.isAnyLeft else { return nil }
            defer { state.next += 1 }
            state.running[state.next] = start
            return (state.next, state.plans[state.next])
        }
        guard let (index, plan) = taken else { return .finished }
        while plan.isStuck, !state.withLock({ $0.isOver }) { usleep(Self.pollMicroseconds) }
        if state.withLock({ $0.isOver }) {
            plan.noteReturn()
            return .finished
        }
        let result = plan.collectReporting(to: registry.scrapeMetrics)
        let duration = clock.uptime - start
        let step: Step = state.withLock { state in
            if state.isOver {
                plan.noteReturn()
                return .finished
            }
            state.running[index] = nil
            state.results[index] = result
            state.returned += 1
            return state.returned == state.plans.count ? .calledLast : .called
        }
        if step != .finished {
            registry.scrapeMetrics.note(plan, took: duration)
            if result != nil { plan.noteSuccess() }
        }
        return step
    }

    /// Ends the round; collectors that have not returned are left out.
    private func close() -> [[CollectedSamples.Series]?] {
        let over = state.withLock { state in
            state.isOver = true
            for (index, start) in state.running { state.plans[index].noteAbandoned(since: start) }
            // Objects of the service that the round holds are released outside the lock.
            defer { state.plans = [] }
            return state
        }
        let metrics = registry.scrapeMetrics
        let now = registry.context.clock.uptime
        for (index, start) in over.running {
            metrics.note(over.plans[index], took: now - start)
            over.plans[index].fail("it did not return in time", metrics)
        }
        for plan in over.plans[over.next...] {
            plan.fail("there was no time or no thread left to call it", metrics)
        }
        return over.results
    }
}
