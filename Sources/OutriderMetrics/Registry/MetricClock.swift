// SPDX-License-Identifier: Apache-2.0
// The source of time, which a test can replace.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The source of time for a registry: for timers, exemplars, and creation times of series.
///
/// ``SystemMetricClock`` unless a test passes another one to the registry. Called on any thread;
/// must not block or use the registry.
public protocol MetricClock: Sendable {
    /// Monotonic time since an arbitrary moment in the past.
    var uptime: Duration { get }
    /// Wall time, in seconds since the epoch.
    var secondsSinceEpoch: Double { get }
}

/// The system clocks: `CLOCK_MONOTONIC` and `CLOCK_REALTIME` (clock_gettime(2)).
public struct SystemMetricClock: MetricClock {
    /// Creates the system clock.
    public init() {}

    /// Time since the machine booted, without the time it was suspended.
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

/// Reads a registry's clock as cheaply as possible.
package final class UptimeReader: Sendable {
    /// Nil for the system clock, which is read directly.
    private let clock: (any MetricClock)?
    private let isSystem: Bool

    fileprivate init(_ clock: any MetricClock) {
        isSystem = clock is SystemMetricClock
        self.clock = isSystem ? nil : clock
    }

    /// Monotonic nanoseconds since an arbitrary moment in the past.
    package var nanoseconds: UInt64 {
        if !isSystem, let clock { return clock.uptime.wholeNanoseconds }
        let now = SystemMetricClock.read(CLOCK_MONOTONIC)
        return UInt64(bitPattern: Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec))
    }
}

extension Duration {
    /// The exact number of nanoseconds; zero for a negative duration, `UInt64.max` for one out of
    /// range.
    fileprivate var wholeNanoseconds: UInt64 {
        UInt64(clamping: max(0, attoseconds) / 1_000_000_000)
    }
}

extension Registry {
    /// Reads this registry's clock; keep the reader rather than request it again.
    package var uptime: UptimeReader { UptimeReader(context.clock) }
}

/// Diagnostics, clock and limits shared by all families of a registry.
struct RegistryContext: Sendable {
    let diagnostics: Diagnostics
    let clock: any MetricClock
    /// The per-CPU rows of frequently updated series; nil if there are none.
    let rows: CellRows?
    /// The limit on the label text of all families.
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

    /// The clock's uptime in milliseconds; for the system clock, as of its last tick, which costs a
    /// tenth of an exact reading.
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
