// SPDX-License-Identifier: Apache-2.0
// The collectors of one scrape, asked within its limit.
//
// A collector is code of the service's own and may hang: on a lock, on a dead network file system.
// So none runs on the scrape's thread. A thread asks one after the other; should one take its time,
// another thread goes on with those behind it. At the limit, whoever has not answered is left out.
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
        var next = 0
        var answered = 0
        var isOver = false
        var answers: [[CollectedSamples.Series]?]
        /// Those being asked now, and since when.
        var asked: [Int: Duration] = [:]
    }

    private let plans: [CollectionPlan]
    private let figures: ScrapeFigures
    private let clock: any MetricClock
    private let state: Guarded<State>
    private let allAnswered = Latch()

    init(_ plans: [CollectionPlan], figures: ScrapeFigures, clock: any MetricClock) {
        self.plans = plans
        self.figures = figures
        self.clock = clock
        state = Guarded(State(answers: Array(repeating: nil, count: plans.count)))
    }

    /// What each collector has to say, in the order of the plans; nil for those that failed or did
    /// not answer within `limit`.
    func run(within limit: Duration) -> [[CollectedSamples.Series]?] {
        if plans.isEmpty { return [] }
        let deadline = ContinuousClock.now + limit
        if !startThread() { askTheRest() }
        var seen = 0
        while true {
            let left = deadline - .now
            if allAnswered.wait(for: min(left, Self.patience)) || left <= .zero { break }
            let (answered, isAnyLeft) = state.withLock { ($0.answered, $0.next < plans.count) }
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
            let taken: Int? = state.withLock { state in
                guard !state.isOver, state.next < plans.count else { return nil }
                defer { state.next += 1 }
                state.asked[state.next] = clock.uptime
                return state.next
            }
            guard let index = taken else { return }
            let plan = plans[index]
            let answer = plan.collectReporting(to: figures)
            let isLast = state.withLock { state in
                let start = state.asked.removeValue(forKey: index)
                if state.isOver {
                    plan.noteReturn()
                    return false
                }
                figures.note(plan, took: clock.uptime - (start ?? .zero))
                state.answers[index] = answer
                state.answered += 1
                return state.answered == plans.count
            }
            if isLast { allAnswered.open() }
        }
    }

    /// Takes no more answers; whoever has not given one is left out.
    private func close() -> [[CollectedSamples.Series]?] {
        let (answers, late, unasked) = state.withLock { state in
            state.isOver = true
            for index in state.asked.keys { plans[index].noteAbandoned() }
            return (state.answers, state.asked, state.next..<plans.count)
        }
        for (index, start) in late {
            figures.note(plans[index], took: clock.uptime - start)
            plans[index].fail("it did not answer in time", figures)
        }
        for index in unasked { plans[index].fail("there was no time left to ask it", figures) }
        return answers
    }
}
