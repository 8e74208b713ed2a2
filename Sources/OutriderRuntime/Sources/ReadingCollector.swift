// SPDX-License-Identifier: Apache-2.0
// How old the readings beside the scrapes are, and what they cost.

internal import OutriderMetrics

/// A reading of whatever kind, for those who look after all of them.
protocol BeatenReading: Sendable {
    var name: String { get }
    /// Reads if it is time to.
    func readIfDue(mayRunHere: Bool)
    /// How old the last reading is and how long it took, in seconds; nil while there is none.
    var figures: (age: Double, cost: Double)? { get }
}

/// The readings' own figures.
struct ReadingCollector: Collector {
    let readings: [any BeatenReading]

    var name: String { "readings" }

    private static let age = CollectedFamily.gauge(
        "outrider_reading_age_seconds",
        help: "How long ago figures that are read beside the scrapes were read.",
        labels: ["reading"])
    private static let duration = CollectedFamily.gauge(
        "outrider_reading_duration_seconds", help: "How long the last such reading took.",
        labels: ["reading"])

    var families: [CollectedFamily] { [Self.age, Self.duration] }

    func collect(into samples: inout CollectedSamples) {
        for reading in readings {
            guard let figures = reading.figures else { continue }
            samples.add(Self.age, figures.age, reading.name)
            samples.add(Self.duration, figures.cost, reading.name)
        }
    }
}
