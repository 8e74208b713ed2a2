// SPDX-License-Identifier: Apache-2.0
// Metrics of a service's shutdown: its duration, and the work that remains.

public import OutriderMetrics
internal import OutriderThreading

/// Metrics of a service's shutdown.
///
/// ```swift
/// let drain = DrainMetrics()
/// drain.watch("orders") { [weak queue] in queue?.count ?? 0 }
///
/// drain.begin()                                    // when the shutdown starts
/// drain.abandoned("orders", count: queue.count)    // work left at the deadline
/// ```
///
/// Prometheus only sees them if it scrapes during the shutdown, so stop the agent last.
/// Thread-safe.
public final class DrainMetrics: Sendable {
    private static let began = CollectedFamily.gauge(
        "service_drain_seconds", help: "Seconds since the shutdown began; 0 before.")
    private static let remaining = CollectedFamily.gauge(
        "service_drain_remaining", help: "Work that the shutdown still has to finish, by kind.",
        labels: ["what"])

    private let board: SnapshotBoard
    private let lost: Family<Counter>
    private let uptime: UptimeReader
    private let registrations = Guarded<[SnapshotBoard.Registration]>([])
    private let start = Guarded<UInt64?>(nil)

    /// Creates the metrics of a shutdown; use one for each registry.
    public init(registry: Registry = .shared) {
        board = SnapshotBoard.named("drain", [Self.began, Self.remaining], in: registry)
        lost = registry.counter(
            "service_drain_abandoned_total",
            help: "Work abandoned at shutdown, by kind.", labels: ["what"])
        uptime = registry.uptime
        let registration = board.add { [weak self] samples in
            if let self { samples.add(Self.began, self.seconds) }
        }
        registrations.withLock { $0.append(registration) }
    }

    /// Exposes the amount of remaining work, read at each scrape.
    public func watch(_ kind: String, _ count: @escaping @Sendable () -> Int) {
        let registration = board.add { samples in samples.add(Self.remaining, count(), kind) }
        // Exposed as 0 from the start, so that the first increase is visible.
        _ = lost.with(kind)
        registrations.withLock { $0.append(registration) }
    }

    /// Marks the start of the shutdown; only the first call counts.
    public func begin() {
        start.withLock { $0 = $0 ?? uptime.nanoseconds }
    }

    /// Counts work that was given up.
    public func abandoned(_ kind: String, count: Int = 1) {
        lost.with(kind).increment(by: count)
    }

    private var seconds: Double {
        guard let start = start.withLock({ $0 }) else { return 0 }
        let now = uptime.nanoseconds
        return Double(now - min(now, start)) / 1_000_000_000
    }
}
