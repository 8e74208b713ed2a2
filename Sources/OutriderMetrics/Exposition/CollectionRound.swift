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
// A collector that an earlier scrape has abandoned is not asked again until it has returned, so a
// hanging one holds as many threads as there were scrapes before the first limit, and no more.

internal import OutriderThreading

/// One round through the collectors; for one use.
final class CollectionRound: Sendable {
    /// Without an answer for this long, another thread takes over the rest.
    private static let patience: Duration = .milliseconds(50)

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

    private let figures: ScrapeFigures
    private let clock: any MetricClock
    private let state: Guarded<State>
    private let allAnswered = Latch()

    init(_ plans: [CollectionPlan], figures: ScrapeFigures, clock: any MetricClock) {
        self.figures = figures
        self.clock = clock
        state = Guarded(State(plans: plans, answers: Array(repeating: nil, count: plans.count)))
    }

    /// What each collector has to say, in the order of the plans; nil for those that failed or did
    /// not answer within `limit`.
    func run(within limit: Duration) -> [[CollectedSamples.Series]?] {
        if !state.withLock({ $0.isAnyLeft }) { return [] }
        let deadline = ContinuousClock.now + limit
        if !startThread() { askTheRest() }
        var seen = 0
        while true {
            let left = deadline - .now
            if allAnswered.wait(for: min(left, Self.patience)) || left <= .zero { break }
            let (answered, isAnyLeft) = state.withLock { ($0.answered, $0.isAnyLeft) }
            if answered == seen, isAnyLeft { _ = startThread() }
            seen = answered
        }
        return close()
    }

    private func startThread() -> Bool {
        DetachedThread.start { [self] in askTheRest() }
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
        let taken: (index: Int, plan: CollectionPlan)? = state.withLock { state in
            guard !state.isOver, state.isAnyLeft else { return nil }
            defer { state.next += 1 }
            state.asked[state.next] = clock.uptime
            return (state.next, state.plans[state.next])
        }
        guard let (index, plan) = taken else { return .nothingLeft }
        let answer = plan.collectReporting(to: figures)
        return state.withLock { state in
            let start = state.asked.removeValue(forKey: index)
            if state.isOver {
                plan.noteReturn()
                return .nothingLeft
            }
            figures.note(plan, took: clock.uptime - (start ?? .zero))
            state.answers[index] = answer
            state.answered += 1
            return state.answered == state.plans.count ? .askedTheLast : .asked
        }
    }

    /// Takes no more answers; whoever has not given one is left out.
    private func close() -> [[CollectedSamples.Series]?] {
        let over = state.withLock { state in
            state.isOver = true
            for index in state.asked.keys { state.plans[index].noteAbandoned() }
            // What the round held of the service goes outside the lock.
            defer { state.plans = [] }
            return state
        }
        for (index, start) in over.asked {
            figures.note(over.plans[index], took: clock.uptime - start)
            over.plans[index].fail("it did not answer in time", figures)
        }
        for plan in over.plans[over.next...] {
            plan.fail("there was no time left to ask it", figures)
        }
        return over.answers
    }
}
