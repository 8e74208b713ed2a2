// SPDX-License-Identifier: Apache-2.0
// The age and cost of background readings, and the longest pause caused by any reading.

internal import OutriderMetrics

/// A background reading of any type.
protocol TimedReading: Sendable {
    var name: String { get }
    /// Reads if a reading is due.
    func readIfDue(mayRunHere: Bool)
    /// Age and duration of the last reading, in seconds; nil if there is none yet.
    var timing: (age: Double, cost: Double)? { get }
}

/// Metrics about the readings.
struct ReadingCollector: Collector {
    let readings: [any TimedReading]
    let pauses: [ReadingPauses]

    var name: String { "readings" }

    private static let age = CollectedFamily.gauge(
        "outrider_reading_age_seconds",
        help: "Age of the cached readings, in seconds.",
        labels: ["reading"])
    private static let duration = CollectedFamily.gauge(
        "outrider_reading_duration_seconds",
        help: "Duration of the last cached reading, in seconds.",
        labels: ["reading"])

    private static let longestPause = CollectedFamily.gauge(
        "outrider_reading_longest_pause_seconds",
        help:
            "Longest time that one call of a reading may have blocked other threads, in seconds.",
        labels: ["reading"])

    var families: [CollectedFamily] { [Self.age, Self.duration, Self.longestPause] }

    func collect(into samples: inout CollectedSamples) {
        for reading in readings {
            guard let timing = reading.timing else { continue }
            samples.add(Self.age, timing.age, reading.name)
            samples.add(Self.duration, timing.cost, reading.name)
        }
        for reading in pauses {
            samples.add(Self.longestPause, reading.longest / .seconds(1), reading.reading)
        }
    }
}
