// SPDX-License-Identifier: Apache-2.0
// Connections that requests were upgraded to, mostly WebSockets.

internal import OutriderMetrics
internal import Synchronization

/// The families of upgraded connections, registered with the first of them.
final class UpgradeFamilies: Sendable {
    /// From one second to one day.
    private static let buckets: Buckets = [1, 10, 60, 600, 3_600, 21_600, 86_400]
    private static let labels = ["http_route", "network_protocol_name"]

    private let registry: Registry
    private let limit: SeriesLimit

    init(in registry: Registry, limit: SeriesLimit) {
        self.registry = registry
        self.limit = limit
    }

    func connections(_ route: String, _ protocolName: String) -> Gauge {
        registry.gauge(
            "http_server_upgraded_connections",
            help: "Open upgraded connections, such as WebSockets.",
            labels: Self.labels, limit: limit
        ).with(route, protocolName)
    }

    func durations(_ route: String, _ protocolName: String) -> Histogram {
        registry.histogram(
            "http_server_upgraded_connection_duration_seconds",
            help: "Lifetime of upgraded connections.", labels: Self.labels,
            buckets: Self.buckets, limit: limit
        ).with(route, protocolName)
    }
}

/// A connection that a request was upgraded to.
///
/// It counts in `http_server_upgraded_connections{http_route,network_protocol_name}` until
/// ``end()`` or until its last reference is released; its duration then counts in
/// `http_server_upgraded_connection_duration_seconds`. Thread-safe.
public final class UpgradedConnection: Sendable {
    private static let protocols: Set<String> = ["websocket", "h2c"]

    /// The instruments; nil if it is not counted.
    private struct Counting: Sendable {
        let connections: Gauge
        let durations: Histogram
        let uptime: UptimeReader
        let start: UInt64
    }

    private let counting: Counting?
    private let isEnded = Atomic<Bool>(false)

    init(
        _ families: UpgradeFamilies, _ protocolName: String, route: String, uptime: UptimeReader
    ) {
        // The client chooses the name.
        let name = protocolName.lowercased()
        let known = Self.protocols.contains(name) ? name : "_OTHER"
        let connections = families.connections(route, known)
        connections.increment()
        counting = Counting(
            connections: connections, durations: families.durations(route, known), uptime: uptime,
            start: uptime.nanoseconds)
    }

    /// A connection that is not counted.
    init() {
        counting = nil
    }

    deinit {
        end()
    }

    /// Ends the connection; only the first call counts.
    public func end() {
        // ORDERING: relaxed; the flag guards no memory.
        if isEnded.exchange(true, ordering: .relaxed) { return }
        guard let counting else { return }
        counting.connections.decrement()
        let now = counting.uptime.nanoseconds
        counting.durations.observe(Double(now - min(now, counting.start)) / 1_000_000_000)
    }
}
