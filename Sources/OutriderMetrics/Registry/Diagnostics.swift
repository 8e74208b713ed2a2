// SPDX-License-Identifier: Apache-2.0
// Counts of what a registry refused or repaired.
//
// Nothing is lost silently: each refused observation, refused registration and repaired label value
// is counted here and logged.

internal import Synchronization

/// Why an observation was refused.
enum RefusedObservation: Int, CaseIterable {
    case negative, notANumber, infinite, wrongLabels, undeclared, labelsTooLong, duplicate
    case exemplarTooLong, invalidExemplar, labelBytes

    var label: String {
        switch self {
        case .negative: "negative"
        case .notANumber: "not_a_number"
        case .infinite: "infinite"
        case .wrongLabels: "wrong_labels"
        case .undeclared: "undeclared_family"
        case .labelsTooLong: "labels_too_long"
        case .duplicate: "duplicate"
        case .exemplarTooLong: "exemplar_too_long"
        case .invalidExemplar: "invalid_exemplar"
        case .labelBytes: "label_bytes"
        }
    }
}

/// The counts of one registry; thread-safe.
///
/// Counting takes no lock; logging takes one, and about a microsecond.
final class Diagnostics: Sendable {
    let log: DiagnosticLog

    private let observations: Counts
    private let registrations: Counts
    private let repaired = Atomic<Int>(0)
    private let cut = Atomic<Int>(0)
    /// The maximum number of bytes of a label value.
    let longestValue: Int

    init(log: DiagnosticLog, longestValue: Int = LabelLimits.default.clampedLength) {
        self.log = log
        self.longestValue = longestValue
        observations = Counts(RefusedObservation.allCases.count)
        registrations = Counts(RegistrationError.Code.all.count)
    }

    /// Counts a refused observation and logs it.
    func refuse(_ reason: RefusedObservation, _ message: @autoclosure () -> String) {
        observations.add(at: reason.rawValue)
        log.report(.warning, about: "observation:\(reason.label)", message())
    }

    /// Counts a refused registration and logs its advice, once for each message.
    func refuse(_ error: RegistrationError, _ consequence: String) {
        registrations.add(at: error.code.index)
        log.reportOnce(.error, "\(error); \(consequence)")
    }

    /// Counts a label value that was not valid UTF-8.
    func noteRepair() {
        repaired.wrappingAdd(1, ordering: .relaxed)
    }

    /// Counts label values that were cut, and logs the first.
    func noteCuts(_ count: Int, of metric: String) {
        if count == 0 { return }
        if cut.wrappingAdd(count, ordering: .relaxed).oldValue == 0 {
            log.report(
                .warning, about: "cut",
                """
                metric "\(metric)" got a label value of more than \(longestValue) bytes; only its beginning \
                and a hash are kept. Use shorter values; \
                outrider_label_values_cut_total counts the cuts
                """)
        }
    }

    /// Label values repaired so far.
    var repairedCount: Int { repaired.load(ordering: .relaxed) }

    /// Observations refused for this reason so far.
    func count(of reason: RefusedObservation) -> Int { observations[reason.rawValue] }

    /// Registrations refused for this reason so far.
    func count(of code: RegistrationError.Code) -> Int { registrations[code.index] }
}

/// A fixed number of counters.
private final class Counts: Sendable {
    private let cells: [Count]

    init(_ count: Int) {
        cells = (0..<count).map { _ in Count() }
    }

    func add(at index: Int) { cells[index].value.wrappingAdd(1, ordering: .relaxed) }

    subscript(index: Int) -> Int { cells[index].value.load(ordering: .relaxed) }
}

private final class Count: Sendable {
    let value = Atomic<Int>(0)
}

extension Diagnostics: Collector {
    private static let registrationsRefused = CollectedFamily.counter(
        "outrider_registrations_refused_total",
        help: "Rejected metric definitions, by reason; the log has advice.",
        labels: ["reason"])
    private static let observationsRefused = CollectedFamily.counter(
        "outrider_observations_refused_total",
        help: "Rejected observations, by reason.", labels: ["reason"])
    private static let labelValuesRepaired = CollectedFamily.counter(
        "outrider_label_values_repaired_total",
        help: "Label values that were not valid UTF-8 and were repaired with U+FFFD.")

    private static let labelValuesCut = CollectedFamily.counter(
        "outrider_label_values_cut_total",
        help: "Label values cut to their beginning and a hash because they were too long."
    )

    private static let logLinesDropped = CollectedFamily.counter(
        "outrider_log_lines_dropped_total",
        help: "Lines of Outrider's log that were dropped because standard error would block.")

    var name: String { "diagnostics" }

    var families: [CollectedFamily] {
        [
            Self.registrationsRefused, Self.observationsRefused, Self.labelValuesRepaired,
            Self.labelValuesCut, Self.logLinesDropped,
        ]
    }

    func collect(into samples: inout CollectedSamples) {
        for code in RegistrationError.Code.all {
            samples.add(Self.registrationsRefused, Double(count(of: code)), code.label)
        }
        for reason in RefusedObservation.allCases {
            samples.add(Self.observationsRefused, Double(count(of: reason)), reason.label)
        }
        samples.add(Self.labelValuesRepaired, Double(repairedCount))
        samples.add(Self.labelValuesCut, Double(cut.load(ordering: .relaxed)))
        samples.add(Self.logLinesDropped, Double(log.droppedCount))
    }
}
