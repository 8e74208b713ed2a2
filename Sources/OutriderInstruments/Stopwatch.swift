// SPDX-License-Identifier: Apache-2.0
// What the instruments share: a time that is being taken, and a gauge that is made when it is first used.

internal import OutriderMetrics
internal import OutriderThreading

/// A histogram of times, and the clock that they are taken by.
struct Times: Sendable {
    let histogram: Histogram
    private let uptime: UptimeReader

    init(_ histogram: Histogram, in registry: Registry) {
        self.histogram = histogram
        uptime = registry.uptime
    }

    /// Starts to take a time.
    func start() -> Stopwatch { Stopwatch(times: self, began: uptime.nanoseconds) }

    fileprivate func observe(since began: UInt64) {
        let now = uptime.nanoseconds
        histogram.observe(Double(now - min(now, began)) / 1_000_000_000)
    }
}

/// A time that is being taken.
struct Stopwatch: Sendable {
    fileprivate let times: Times
    fileprivate let began: UInt64

    /// Observes it, in seconds.
    func stop() { times.observe(since: began) }
}

/// A gauge that is absent until it is first used.
final class OnceGauge: Sendable {
    private let made = OnceReference<Gauge>()
    private let make: @Sendable () -> Gauge

    init(_ make: @escaping @Sendable () -> Gauge) { self.make = make }

    var gauge: Gauge { made.load() ?? made.storeIfNil(make()) }
}
