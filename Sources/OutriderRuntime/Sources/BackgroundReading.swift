// SPDX-License-Identifier: Apache-2.0
// Readings that are too expensive for a scrape: made in the background at long intervals, and
// reported with their age.
//
//     interval = max(the minimum, the duration of the last reading × 1,000)
//
// So reading takes at most 0.1 % of one core, however large the process grows. If a value has not
// been requested for some minutes, it is not read: an idle agent spends nothing on it.

internal import OutriderThreading

/// A value that is read from time to time on a background thread; thread-safe.
final class BackgroundReading<Value: Sendable>: Sendable {
    /// A value with its age and cost.
    struct Reading: Sendable {
        let value: Value
        /// Seconds since it was read.
        let ageSeconds: Double
        /// Duration of the reading, in seconds.
        let seconds: Double
    }

    /// The share of one core that reading may take.
    private static var duty: Double { 0.001 }
    /// Readings that take less than this are made on the calling thread instead of a separate one.
    private static var longestOnTimer: Duration { .milliseconds(1) }
    /// How long after a request the value is kept up to date.
    private static var attention: Duration { .seconds(300) }

    private struct State: Sendable {
        var value: Value?
        var began: ContinuousClock.Instant?
        var ended: ContinuousClock.Instant?
        var isReading = false
        var requested: ContinuousClock.Instant
    }

    let name: String
    private let leastInterval: Duration
    private let read: @Sendable () -> Value?
    private let time: any TimeSource
    private let state: Guarded<State>

    /// - Parameters:
    ///   - name: The value of the label `reading` in the metrics about it.
    ///   - leastInterval: The minimum interval between two readings.
    ///   - time: The clock for ages and costs.
    ///   - read: Reads the value; nil if it is unavailable.
    init(
        named name: String, atLeastEvery leastInterval: Duration, time: any TimeSource,
        _ read: @escaping @Sendable () -> Value?
    ) {
        self.name = name
        self.leastInterval = leastInterval
        self.time = time
        state = Guarded(State(requested: time.now))
        self.read = read
    }

    /// The last value, if there is one; keeps the value up to date.
    func latest() -> Reading? {
        let (reading, isNeglected) = state.withLock { state -> (Reading?, Bool) in
            let now = time.now
            state.requested = now
            guard let began = state.began, let ended = state.ended else { return (nil, true) }
            let isNeglected = now - ended > Self.interval(of: state, leastInterval) * 2
            let reading = state.value.map {
                Reading(
                    value: $0, ageSeconds: (now - ended) / .seconds(1),
                    seconds: (ended - began) / .seconds(1))
            }
            return (reading, isNeglected)
        }
        // No timer keeps it up to date.
        if isNeglected { readIfDue(mayRunHere: false) }
        return reading
    }

    /// The last value; the first one is read at once.
    func latestOrFirst() -> Reading? {
        if state.withLock({ $0.ended == nil }) { run() }
        return latest()
    }

    /// Reads if a reading is due and was requested: here if it is quick, otherwise on another
    /// thread.
    func readIfDue(mayRunHere: Bool) {
        let (isDue, isQuick) = state.withLock { state in
            let now = time.now
            guard now - state.requested < Self.attention, !state.isReading else {
                return (false, false)
            }
            guard let began = state.began, let ended = state.ended else { return (true, false) }
            let isDue = now - ended >= Self.interval(of: state, leastInterval)
            return (isDue, ended - began < Self.longestOnTimer)
        }
        guard isDue else { return }
        if mayRunHere && isQuick { return run() }
        // If no thread can be started, the next tick tries again.
        _ = DetachedThread.start(named: "outrider-read") { [self] in run() }
    }

    private static func interval(of state: State, _ least: Duration) -> Duration {
        guard let began = state.began, let ended = state.ended else { return least }
        return max(least, (ended - began) / duty)
    }

    /// Reads now, unless another thread is reading.
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

extension BackgroundReading: TimedReading {
    var timing: (age: Double, cost: Double)? {
        state.withLock { state in
            guard let began = state.began, let ended = state.ended else { return nil }
            return ((time.now - ended) / .seconds(1), (ended - began) / .seconds(1))
        }
    }
}
