// SPDX-License-Identifier: Apache-2.0
// What one finished request is counted in: the instruments of one label set.

internal import OutriderMetrics

/// How long requests took; the one place that knows what kind of histogram that is.
struct DurationSeries: Sendable {
    private let histogram: Histogram

    init(_ histogram: Histogram) {
        self.histogram = histogram
    }

    /// Counts one request, and offers an example of it; `uptime` is the clock's now.
    func observe(_ seconds: Double, at uptime: UInt64, exemplar: () -> Exemplar?) {
        histogram.observe(seconds, at: uptime, exemplar: exemplar)
    }
}

/// The instruments of one label set of incoming requests.
final class RequestSeries: Sendable {
    let duration: DurationSeries
    /// Under the other naming, while both are wanted.
    let secondDuration: DurationSeries?
    let total: Counter?
    let requestSize: Histogram?
    let responseSize: Histogram?
    let firstByte: Histogram?

    init(
        duration: DurationSeries, secondDuration: DurationSeries?, total: Counter?,
        requestSize: Histogram?,
        responseSize: Histogram?, firstByte: Histogram?
    ) {
        self.duration = duration
        self.secondDuration = secondDuration
        self.total = total
        self.requestSize = requestSize
        self.responseSize = responseSize
        self.firstByte = firstByte
    }
}
