// SPDX-License-Identifier: Apache-2.0
// A clock that stands still until a test moves it.

public import OutriderMetrics
internal import OutriderThreading

/// A clock that a test moves.
///
/// Thread-safe; reading it takes a lock for a few nanoseconds.
public final class ManualClock: MetricClock {
    private struct Hands: Sendable {
        var uptime: Duration
        var secondsSinceEpoch: Double
    }

    private let hands: Guarded<Hands>

    /// A clock that shows these times.
    ///
    /// - Parameters:
    ///   - uptime: Time since some moment in the past.
    ///   - secondsSinceEpoch: Wall time; a moment in November 2023 unless told otherwise.
    public init(uptime: Duration = .zero, secondsSinceEpoch: Double = 1_700_000_000) {
        hands = Guarded(Hands(uptime: uptime, secondsSinceEpoch: secondsSinceEpoch))
    }

    /// Time since some moment in the past; it moves with ``advance(by:)`` alone.
    public var uptime: Duration { hands.withLock { $0.uptime } }

    /// Wall time, in seconds since the epoch.
    ///
    /// Setting it is what NTP does to a machine whose clock was wrong: it may go back, and the
    /// ``uptime`` does not notice.
    public var secondsSinceEpoch: Double {
        get { hands.withLock { $0.secondsSinceEpoch } }
        set { hands.withLock { $0.secondsSinceEpoch = newValue } }
    }

    /// Moves both times on.
    ///
    /// A negative duration moves nothing: ``uptime`` never goes back. It stops at the end of what a
    /// `Duration` can hold.
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
