// SPDX-License-Identifier: Apache-2.0
// The instruments of one label set, which finished requests are counted in.

internal import OutriderMetrics

/// A histogram of request durations; the only type that depends on the kind of histogram.
struct DurationSeries: Sendable {
    private let histogram: Histogram

    init(_ histogram: Histogram) {
        self.histogram = histogram
    }

    /// Records one request and offers an exemplar; `uptime` is the clock's current value.
    func observe(_ seconds: Double, at uptime: UInt64, exemplar: () -> Exemplar?) {
        histogram.observe(seconds, at: uptime, exemplar: exemplar)
    }
}

/// The instruments of one label set of incoming requests.
final class RequestSeries: Sendable {
    let duration: DurationSeries
    /// The duration under the second naming, if both are configured.
    let prometheusDuration: DurationSeries?
    let total: Counter?
    let requestSize: Histogram?
    let responseSize: Histogram?
    let timeToFirstByte: Histogram?

    init(
        duration: DurationSeries, prometheusDuration: DurationSeries?, total: Counter?,
        requestSize: Histogram?,
        responseSize: Histogram?, timeToFirstByte: Histogram?
    ) {
        self.duration = duration
        self.prometheusDuration = prometheusDuration
        self.total = total
        self.requestSize = requestSize
        self.responseSize = responseSize
        self.timeToFirstByte = timeToFirstByte
    }
}
