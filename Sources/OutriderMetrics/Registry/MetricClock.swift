// SPDX-License-Identifier: Apache-2.0
// Where the time comes from, so that a test can move it by hand.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Where a registry gets the time from: for timers, exemplars, and when a series was made.
///
/// ``SystemMetricClock`` unless a test gives a registry another one. Asked from any thread; must not
/// block or use the registry.
public protocol MetricClock: Sendable {
    /// Time since some moment in the past, which never goes back.
    var uptime: Duration { get }
    /// Wall time, in seconds since the epoch.
    var secondsSinceEpoch: Double { get }
}

/// The clocks of the system: `CLOCK_MONOTONIC` and `CLOCK_REALTIME` (clock_gettime(2)).
public struct SystemMetricClock: MetricClock {
    /// The system's time.
    public init() {}

    /// Time since the machine was started, without the time that it slept.
    public var uptime: Duration {
        let now = Self.read(CLOCK_MONOTONIC)
        return .seconds(now.tv_sec) + .nanoseconds(now.tv_nsec)
    }

    /// Wall time, in seconds since the epoch; it may be set back by hand or by NTP.
    public var secondsSinceEpoch: Double {
        let now = Self.read(CLOCK_REALTIME)
        return Double(now.tv_sec) + Double(now.tv_nsec) / 1_000_000_000
    }

    fileprivate static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return time
    }
}

/// A registry's clock, read as cheaply as it can be.
package final class UptimeReader: Sendable {
    /// Nil for the system's, which is read without a detour.
    private let clock: (any MetricClock)?
    private let isSystem: Bool

    fileprivate init(_ clock: any MetricClock) {
        isSystem = clock is SystemMetricClock
        self.clock = isSystem ? nil : clock
    }

    /// Nanoseconds since some moment in the past; never goes back.
    package var nanoseconds: UInt64 {
        if !isSystem, let clock { return clock.uptime.wholeNanoseconds }
        let now = SystemMetricClock.read(CLOCK_MONOTONIC)
        return UInt64(bitPattern: Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec))
    }
}

extension Duration {
    /// Nanoseconds, exactly; zero for a negative duration, the end of the range for one beyond it.
    fileprivate var wholeNanoseconds: UInt64 {
        UInt64(clamping: max(0, attoseconds) / 1_000_000_000)
    }
}

extension Registry {
    /// Reads this registry's clock; keep it rather than ask for it again.
    package var uptime: UptimeReader { UptimeReader(surroundings.clock) }
}

/// What every family of a registry shares: whom to tell, and what time it is.
struct Surroundings: Sendable {
    let diagnostics: Diagnostics
    let clock: any MetricClock
    /// Where hot series have a copy of their cells for each CPU; nil if none do.
    let rows: CellRows?
    /// How much label text all families may have.
    let labels: LabelBudget
    private let isSystemClock: Bool

    init(
        diagnostics: Diagnostics, clock: any MetricClock, rows: CellRows? = .shared,
        labels: LabelBudget = LabelBudget()
    ) {
        self.diagnostics = diagnostics
        self.rows = rows
        self.labels = labels
        self.clock = clock
        isSystemClock = clock is SystemMetricClock
    }

    /// The clock's uptime in milliseconds; of the system's clock, as it was at its last tick, which
    /// costs a tenth.
    var coarseMilliseconds: UInt64 {
        #if os(Linux)
            if isSystemClock {
                let now = SystemMetricClock.read(CLOCK_MONOTONIC_COARSE)
                return UInt64(clamping: now.tv_sec * 1_000 + now.tv_nsec / 1_000_000)
            }
        #endif
        return clock.uptime.wholeNanoseconds / 1_000_000
    }
}
