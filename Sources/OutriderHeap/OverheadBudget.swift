// SPDX-License-Identifier: Apache-2.0
// What sampling may cost: a share of one core.
//
// The sampler itself widens its interval, in the second in which it takes too much, as nothing of ours may have
// to wake up for it. Here is what can wait until somebody looks: telling of it, and coming back.

/// Decides about the interval from what sampling has taken; a value, without a clock.
package struct OverheadBudget: Sendable {
    /// An interval that holds from now on, and why.
    package struct Change: Sendable, CustomStringConvertible {
        /// Mean bytes between two samples.
        package let interval: UInt64
        /// For the log.
        package let description: String
    }

    /// After this long without need the interval comes back by half.
    private static let patience: UInt64 = 60_000_000_000
    /// Sampling that costs less than this share of the budget has room for twice as many samples.
    private static let lowWater = 0.25

    private let share: Double
    private let wanted: UInt64
    private var interval: UInt64
    private var last: (taken: UInt64, time: UInt64)?
    private var lowSince: UInt64?

    /// A budget of a share of one core, for sampling that is wanted with this interval.
    package init(share: Double, interval: UInt64) {
        self.share = share
        wanted = interval
        self.interval = interval
    }

    /// Nanoseconds a second that sampling may take.
    package var nanoseconds: UInt64 { UInt64(max(0, min(share, 1_000)) * 1e9) }

    /// Judges what sampling has taken since the last look.
    ///
    /// - Parameters:
    ///   - taken: What it has taken since the process started, in nanoseconds.
    ///   - current: The interval in force.
    ///   - time: Of a clock that only goes forward, in nanoseconds.
    /// - Returns: What has changed, or is to be set now; nil if all is as it was.
    package mutating func look(
        samplerNanoseconds taken: UInt64, interval current: UInt64, at time: UInt64
    ) -> Change? {
        let before = last ?? (taken, time)
        last = (taken, time)
        if current > interval {
            interval = current
            lowSince = nil
            return Change(
                interval: current,
                description:
                    "heap sampling took more than \(share * 100) % of a core, which is its "
                    + "budget; it samples every \(current) bytes now")
        }
        let elapsed = Double(max(1, time &- before.time))
        let used = Double(taken &- before.taken) / elapsed
        guard used < share * Self.lowWater, interval > wanted else {
            lowSince = nil
            return nil
        }
        let since = lowSince ?? time
        lowSince = since
        guard time &- since >= Self.patience else { return nil }
        lowSince = nil
        interval = max(wanted, interval / 2)
        return Change(
            interval: interval,
            description:
                "heap sampling has room in its budget; it samples every \(interval) bytes again")
    }
}
