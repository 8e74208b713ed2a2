// SPDX-License-Identifier: Apache-2.0
// Figures that are too dear to be read at a scrape: read beside it, seldom enough, and shown with their
// age.
//
//     interval = max(the least one, the time that the last reading took × 1,000)
//
// so that reading takes at most 0.1 % of one core, however large the process grows. Where nobody has asked
// for some minutes, nobody reads: an idle agent does nothing for them.

internal import OutriderThreading

/// A value that is read now and then on another thread than the one that asks; thread-safe.
final class BackgroundReading<Value: Sendable>: Sendable {
    /// A value and what is known of how it came.
    struct Reading: Sendable {
        let value: Value
        /// How long ago it was read.
        let ageSeconds: Double
        /// How long that took.
        let seconds: Double
    }

    /// The share of one core that reading may take.
    private static var duty: Double { 0.001 }
    /// What takes less than this is read by whoever comes along, rather than by a thread of its own.
    private static var longestOnBeat: Duration { .milliseconds(1) }
    /// For so long after somebody has asked, it is kept up to date.
    private static var attention: Duration { .seconds(300) }

    private struct State: Sendable {
        var value: Value?
        var began: ContinuousClock.Instant?
        var ended: ContinuousClock.Instant?
        var isReading = false
        var asked: ContinuousClock.Instant
    }

    let name: String
    private let leastInterval: Duration
    private let read: @Sendable () -> Value?
    private let time: any TimeSource
    private let state: Guarded<State>

    /// - Parameters:
    ///   - name: The value of the label `reading` in the metrics about it.
    ///   - leastInterval: No two readings are closer together.
    ///   - time: The clock that ages and costs are measured with.
    ///   - read: Reads; nil if there is nothing to be had.
    init(
        named name: String, atLeastEvery leastInterval: Duration, time: any TimeSource,
        _ read: @escaping @Sendable () -> Value?
    ) {
        self.name = name
        self.leastInterval = leastInterval
        self.time = time
        state = Guarded(State(asked: time.now))
        self.read = read
    }

    /// The last value, if there is one; asks for newer ones.
    func latest() -> Reading? {
        let (reading, isNeglected) = state.withLock { state -> (Reading?, Bool) in
            let now = time.now
            state.asked = now
            guard let began = state.began, let ended = state.ended else { return (nil, true) }
            let isNeglected = now - ended > Self.interval(of: state, leastInterval) * 2
            let reading = state.value.map {
                Reading(
                    value: $0, ageSeconds: (now - ended) / .seconds(1),
                    seconds: (ended - began) / .seconds(1))
            }
            return (reading, isNeglected)
        }
        // No beat looks after this one.
        if isNeglected { readIfDue(mayRunHere: false) }
        return reading
    }

    /// The last value, or else the first, which is read at once.
    func latestOrFirst() -> Reading? {
        if state.withLock({ $0.ended == nil }) { run() }
        return latest()
    }

    /// Reads if it is time to and somebody has asked: here, if that is quick, or on another thread.
    func readIfDue(mayRunHere: Bool) {
        let (isDue, isQuick) = state.withLock { state in
            let now = time.now
            guard now - state.asked < Self.attention, !state.isReading else {
                return (false, false)
            }
            guard let began = state.began, let ended = state.ended else { return (true, false) }
            let isDue = now - ended >= Self.interval(of: state, leastInterval)
            return (isDue, ended - began < Self.longestOnBeat)
        }
        guard isDue else { return }
        if mayRunHere && isQuick { return run() }
        // Without a thread to spare, the next beat tries again.
        _ = DetachedThread.start(named: "outrider-read") { [self] in run() }
    }

    private static func interval(of state: State, _ least: Duration) -> Duration {
        guard let began = state.began, let ended = state.ended else { return least }
        return max(least, (ended - began) / duty)
    }

    /// Reads now, unless somebody does.
    func run() {
        let mayRead = state.withLock { state in
            defer { state.isReading = true }
            return !state.isReading
        }
        guard mayRead else { return }
        let began = time.now
        let value = read()
        let ended = time.now
        state.withLock { state in
            state.isReading = false
            (state.value, state.began, state.ended) = (value, began, ended)
        }
    }
}

extension BackgroundReading: BeatenReading {
    var figures: (age: Double, cost: Double)? {
        state.withLock { state in
            guard let began = state.began, let ended = state.ended else { return nil }
            return ((time.now - ended) / .seconds(1), (ended - began) / .seconds(1))
        }
    }
}
