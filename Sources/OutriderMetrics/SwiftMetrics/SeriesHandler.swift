// SPDX-License-Identifier: Apache-2.0
// The handlers that swift-metrics is given: an instrument, its place, and how many own it.
//
// A class for each kind of instrument stands for every form of it in swift-metrics, so that a
// counter and a floating-point counter of one name are one object with one count of owners.

internal import CoreMetrics
internal import Synchronization

/// What all handlers have in common; thread-safe.
///
/// It keeps the family alive, so a handler of a registry that was let go still works, unseen.
// SAFETY (of `@unchecked`): a class with subclasses cannot be checked; everything here and in the
// three subclasses below is a `let` of a Sendable type, or of an instrument, which all are Sendable.
class SeriesHandler: @unchecked Sendable {
    let core: FamilyCore
    let instrument: AnyObject
    /// The rendered labels of the handler's own series; nil if it has none: it stands for all that
    /// did not fit, or is not exposed.
    let key: [UInt8]?
    /// How many asked for it and did not destroy it; zero is for good.
    private let owners = Atomic<Int>(1)

    fileprivate init(_ instrument: AnyObject, of core: FamilyCore, key: [UInt8]?) {
        self.instrument = instrument
        self.core = core
        self.key = key
    }

    /// A handler for an instrument of this family, with one owner.
    static func make(
        _ instrument: AnyObject, of core: FamilyCore, key: [UInt8]?
    ) -> SeriesHandler {
        // SAFETY: a family of a kind has instruments of that kind alone.
        switch core.definition.kind {
        case .counter:
            CounterSeriesHandler(
                counter: unsafe unsafeDowncast(instrument, to: Counter.self), of: core, key: key)
        case .gauge, .info, .stateSet:
            GaugeSeriesHandler(
                gauge: unsafe unsafeDowncast(instrument, to: Gauge.self), of: core, key: key)
        case .histogram:
            HistogramSeriesHandler(
                histogram: unsafe unsafeDowncast(instrument, to: Histogram.self), of: core,
                key: key)
        }
    }

    /// Adds an owner; false if the last one is gone.
    ///
    /// ORDERING: relaxed; the number guards no memory. Who finds it zero takes the store's lock.
    func own() -> Bool {
        var count = owners.load(ordering: .relaxed)
        while count > 0 {
            let (exchanged, seen) = owners.weakCompareExchange(
                expected: count, desired: count &+ 1, ordering: .relaxed)
            if exchanged { return true }
            count = seen
        }
        return false
    }

    /// Takes an owner away; true if that was the last.
    func disown() -> Bool {
        owners.wrappingSubtract(1, ordering: .relaxed).newValue == 0
    }

    /// Whether the series, its own or the one for what did not fit, is still exposed.
    var isCurrent: Bool {
        guard core.isRegistered else { return false }
        guard let key else { return core.isOverflow(instrument) }
        return core.has(instrument, rendered: key)
    }
}

/// A counter for swift-metrics, of whole numbers and of fractions.
final class CounterSeriesHandler: SeriesHandler, CounterHandler, FloatingPointCounterHandler,
    @unchecked Sendable
{
    private let counter: Counter

    fileprivate init(counter: Counter, of core: FamilyCore, key: [UInt8]?) {
        self.counter = counter
        super.init(counter, of: core, key: key)
    }

    func increment(by amount: Int64) { counter.increment(by: Int(amount)) }

    func increment(by amount: Double) { counter.increment(by: amount) }

    /// Starts at zero again, and counts as made now, so that OpenMetrics shows a reset for what it
    /// is; the text format's readers know one by the value.
    func reset() {
        // A handler without a series of its own shares the counter with strangers.
        guard let key else { return }
        counter.reset()
        core.restart(counter, rendered: key)
    }
}

/// A gauge for swift-metrics: a meter, or a recorder that does not aggregate.
final class GaugeSeriesHandler: SeriesHandler, MeterHandler, RecorderHandler,
    @unchecked Sendable
{
    private let gauge: Gauge

    fileprivate init(gauge: Gauge, of core: FamilyCore, key: [UInt8]?) {
        self.gauge = gauge
        super.init(gauge, of: core, key: key)
    }

    func set(_ value: Int64) { gauge.set(Double(value)) }

    func set(_ value: Double) { gauge.set(value) }

    func record(_ value: Int64) { gauge.set(Double(value)) }

    func record(_ value: Double) { gauge.set(value) }

    func increment(by amount: Double) {
        guard amount.isFinite else { return refuse(amount) }
        gauge.increment(by: amount)
    }

    func decrement(by amount: Double) {
        guard amount.isFinite else { return refuse(amount) }
        gauge.decrement(by: amount)
    }

    private func refuse(_ amount: Double) {
        core.diagnostics.refuse(
            amount.isNaN ? .notANumber : .infinite,
            "a meter was asked to change by \(amount), which would spoil it for good")
    }
}

/// A histogram for swift-metrics: a timer, or a recorder that aggregates.
final class HistogramSeriesHandler: SeriesHandler, TimerHandler, RecorderHandler,
    @unchecked Sendable
{
    private static let nanosecondsPerSecond = 1e9

    private let histogram: Histogram

    fileprivate init(histogram: Histogram, of core: FamilyCore, key: [UInt8]?) {
        self.histogram = histogram
        super.init(histogram, of: core, key: key)
    }

    func recordNanoseconds(_ duration: Int64) {
        guard duration >= 0 else {
            return core.diagnostics.refuse(
                .negative, "a timer was given \(duration) ns; its clock seems to run backwards")
        }
        histogram.observe(Double(duration) / Self.nanosecondsPerSecond)
    }

    func record(_ value: Int64) { histogram.observe(Double(value)) }

    func record(_ value: Double) { histogram.observe(value) }
}
