// SPDX-License-Identifier: Apache-2.0
// The overhead budget of sampling: a share of one core.
//
// The sampler itself widens its interval in the second in which it exceeds the budget, so no thread
// has to wake up for it. This type does what can wait until a scrape or a profile: logging the
// change, and narrowing the interval again.

/// Decides about the interval from the time spent on sampling; a value without a clock.
package struct OverheadBudget: Sendable {
    /// A new interval, and the reason for it.
    package struct Change: Sendable, CustomStringConvertible {
        /// Mean bytes between two samples.
        package let interval: UInt64
        /// For the log.
        package let description: String
    }

    /// After this long below ``lowWater``, the interval is halved.
    private static let patience: UInt64 = 60_000_000_000
    /// Below this share of the budget, sampling could take twice as many samples.
    private static let lowWater = 0.25

    private let share: Double
    private let wanted: UInt64
    private var interval: UInt64
    private var last: (taken: UInt64, time: UInt64)?
    private var lowSince: UInt64?

    /// A budget for sampling, as a share of one core, with the configured interval.
    package init(share: Double, interval: UInt64) {
        self.share = share
        wanted = interval
        self.interval = interval
    }

    /// Nanoseconds per second that sampling may take.
    package var nanoseconds: UInt64 { UInt64(max(0, min(share, 1_000)) * 1e9) }

    /// Evaluates the time spent on sampling since the last call.
    ///
    /// - Parameters:
    ///   - taken: Time spent since the process started, in nanoseconds.
    ///   - current: The current interval.
    ///   - time: A monotonic time, in nanoseconds.
    /// - Returns: A change that has happened or is to be applied; nil if there is none.
    package mutating func evaluate(
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
                    "heap sampling used more than its budget of \(share * 100) % of a core; "
                    + "the interval is now \(current) bytes")
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
                "heap sampling used less than a quarter of its budget; "
                + "the interval is now \(interval) bytes")
    }
}
