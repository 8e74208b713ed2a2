// SPDX-License-Identifier: Apache-2.0
// The swift-metrics handlers: an instrument, its series, and the number of owners.
//
// Each kind of instrument has one class for all its handler protocols in swift-metrics, so a
// counter and a floating-point counter of the same name are one object with one owner count.

internal import CoreMetrics
internal import Synchronization

/// The base class of all handlers; thread-safe.
///
/// It keeps the family alive, so a handler still works after its registry was freed, but is not
/// exposed.
// SAFETY (of `@unchecked`): the compiler cannot check a class with subclasses; every property here
// and in the three subclasses below is a `let` of a Sendable type or an instrument, which is
// Sendable too.
class SeriesHandler: @unchecked Sendable {
    let core: FamilyCore
    let instrument: AnyObject
    /// The rendered labels of the handler's own series; nil if it belongs to the overflow series or
    /// is not exposed.
    let key: [UInt8]?
    /// The number of owners; once zero, it stays zero.
    private let owners = Atomic<Int>(1)

    fileprivate init(_ instrument: AnyObject, of core: FamilyCore, key: [UInt8]?) {
        self.instrument = instrument
        self.core = core
        self.key = key
    }

    /// Creates a handler for an instrument of this family, with one owner.
    static func make(
        _ instrument: AnyObject, of core: FamilyCore, key: [UInt8]?
    ) -> SeriesHandler {
        // SAFETY: all instruments of a family are of its kind.
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

    /// Adds an owner; false if the last owner has already gone.
    ///
    /// ORDERING: relaxed; the count does not guard other memory. A caller that finds zero takes the
    /// store's lock.
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

    /// Removes an owner; true if it was the last one.
    func disown() -> Bool {
        owners.wrappingSubtract(1, ordering: .relaxed).newValue == 0
    }

    /// Whether its series, which may be the overflow series, is still exposed.
    var isCurrent: Bool {
        guard core.isRegistered else { return false }
        guard let key else { return core.isOverflow(instrument) }
        return core.has(instrument, rendered: key)
    }
}

/// A counter for swift-metrics, for integers and fractions.
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

    /// Resets the counter to zero and its creation time to now, so that OpenMetrics exposes the
    /// reset; readers of the text format detect it by the lower value.
    func reset() {
        // A handler without its own series shares the counter with other labels.
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
            "meter change by \(amount) rejected; it would corrupt the value permanently")
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
                .negative, "timer value \(duration) ns rejected; its clock seems to run backwards")
        }
        histogram.observe(Double(duration) / Self.nanosecondsPerSecond)
    }

    func record(_ value: Int64) { histogram.observe(Double(value)) }

    func record(_ value: Double) { histogram.observe(value) }
}
