// SPDX-License-Identifier: Apache-2.0
// A clock that stands still until a test moves it.

public import OutriderMetrics
internal import OutriderThreading

/// A clock that only moves when a test moves it.
///
/// Thread-safe; reading it takes a lock for a few nanoseconds.
public final class ManualClock: MetricClock {
    private struct Hands: Sendable {
        var uptime: Duration
        var secondsSinceEpoch: Double
    }

    private let hands: Guarded<Hands>

    /// Creates a clock with these times.
    ///
    /// - Parameters:
    ///   - uptime: Time since an arbitrary moment in the past.
    ///   - secondsSinceEpoch: Wall time; a moment in November 2023 by default.
    public init(uptime: Duration = .zero, secondsSinceEpoch: Double = 1_700_000_000) {
        hands = Guarded(Hands(uptime: uptime, secondsSinceEpoch: secondsSinceEpoch))
    }

    /// Time since an arbitrary moment in the past; only ``advance(by:)`` changes it.
    public var uptime: Duration { hands.withLock { $0.uptime } }

    /// Wall time, in seconds since the epoch.
    ///
    /// Setting it simulates an NTP correction: it may go back, and ``uptime`` is unaffected.
    public var secondsSinceEpoch: Double {
        get { hands.withLock { $0.secondsSinceEpoch } }
        set { hands.withLock { $0.secondsSinceEpoch = newValue } }
    }

    /// Advances both times.
    ///
    /// Negative durations are ignored: ``uptime`` never goes back. It saturates at the maximum
    /// `Duration`.
    public func advance(by duration: Duration) {
        if duration < .zero { return }
        hands.withLock { hands in
            let (sum, overflow) = hands.uptime.attoseconds.addingReportingOverflow(
                duration.attoseconds)
            hands.uptime = Duration(attoseconds: overflow ? .max : sum)
            hands.secondsSinceEpoch += duration / .seconds(1)
        }
    }
}
