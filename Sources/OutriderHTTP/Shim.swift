// SPDX-License-Identifier: Apache-2.0
// Until the cardinality guard is merged.
internal import OutriderMetrics

/// How many.
public struct SeriesLimit: Hashable, Sendable {
    /// Series.
    public var count: Int
    /// A limit.
    public init(count: Int = 10_000) { self.count = count }
}
extension Family {
    func resolve(_ values: [String]) -> (instrument: Instrument, isOverflow: Bool) {
        (with(values), false)
    }
}
extension Registry {
    func histogram(
        _ name: String, help: String, labels: [String], buckets: Buckets, limit: SeriesLimit
    ) -> Family<Histogram> { histogram(name, help: help, labels: labels, buckets: buckets) }
    func counter(
        _ name: String, help: String, labels: [String], limit: SeriesLimit
    ) -> Family<Counter> { counter(name, help: help, labels: labels) }
    func gauge(
        _ name: String, help: String, labels: [String], limit: SeriesLimit
    ) -> Family<Gauge> { gauge(name, help: help, labels: labels) }
}
