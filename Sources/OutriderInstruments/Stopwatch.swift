// SPDX-License-Identifier: Apache-2.0
// Helpers of the instruments: a stopwatch, and a gauge that is created when it is first used.

internal import OutriderMetrics
internal import OutriderThreading

/// A histogram of durations, and the clock that measures them.
struct TimedHistogram: Sendable {
    let histogram: Histogram
    private let uptime: UptimeReader

    init(_ histogram: Histogram, in registry: Registry) {
        self.histogram = histogram
        uptime = registry.uptime
    }

    /// Starts a measurement.
    func start() -> Stopwatch { Stopwatch(histogram: self, began: uptime.nanoseconds) }

    fileprivate func observe(since began: UInt64) {
        let now = uptime.nanoseconds
        histogram.observe(Double(now - min(now, began)) / 1_000_000_000)
    }
}

/// A running measurement.
struct Stopwatch: Sendable {
    fileprivate let histogram: TimedHistogram
    fileprivate let began: UInt64

    /// Records the elapsed time, in seconds.
    func stop() { histogram.observe(since: began) }
}

/// A gauge that is absent until it is first used.
final class OnceGauge: Sendable {
    private let made = OnceReference<Gauge>()
    private let make: @Sendable () -> Gauge

    init(_ make: @escaping @Sendable () -> Gauge) { self.make = make }

    var gauge: Gauge { made.load() ?? made.storeIfNil(make()) }
}
