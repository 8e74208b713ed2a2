// SPDX-License-Identifier: Apache-2.0
// What sampling may cost: a share of one core.

/// Decides about the interval from what sampling has taken; a value, without a clock.
package struct OverheadBudget: Sendable {
    /// A new interval, and why.
    package struct Change: Sendable, CustomStringConvertible {
        /// Mean bytes between two samples from now on.
        package let interval: UInt64
        /// For the log.
        package let description: String
    }

    /// Between two looks there is at least a second: a shorter time says little.
    private static let shortestLook: UInt64 = 1_000_000_000
    /// After this long without need the interval comes back by half.
    private static let patience: UInt64 = 60_000_000_000
    /// Sampling that costs less than this share of the budget has room for twice as many samples.
    private static let lowWater = 0.25
    /// Past this, sampling is as good as off.
    private static let widest: UInt64 = 1 << 32

    private let share: Double
    private let wanted: UInt64
    /// The interval that holds.
    package private(set) var interval: UInt64
    private var last: (taken: UInt64, time: UInt64)?
    private var lowSince: UInt64?

    /// A budget of a share of one core, for sampling that is wanted with this interval.
    package init(share: Double, interval: UInt64) {
        self.share = share
        wanted = interval
        self.interval = interval
    }

    /// Judges what sampling has taken since the last look.
    ///
    /// - Parameters:
    ///   - samplerNanoseconds: What it has taken since the process started.
    ///   - time: Of a clock that only goes forward, in nanoseconds.
    /// - Returns: The interval to set; nil if it may stay.
    package mutating func look(samplerNanoseconds taken: UInt64, at time: UInt64) -> Change? {
        guard let (before, start) = last else {
            last = (taken, time)
            return nil
        }
        guard time >= start &+ Self.shortestLook, taken >= before else { return nil }
        last = (taken, time)
        let used = Double(taken - before) / Double(time - start)
        if used > share {
            lowSince = nil
            // By as much as it takes: half the samples cost half.
            var next = interval
            var cost = used
            while cost > share, next < Self.widest {
                next *= 2
                cost /= 2
            }
            return change(to: next, used)
        }
        guard used < share * Self.lowWater, interval > wanted else {
            lowSince = nil
            return nil
        }
        let since = lowSince ?? start
        lowSince = since
        guard time - since >= Self.patience else { return nil }
        lowSince = nil
        return change(to: max(wanted, interval / 2), used)
    }

    private mutating func change(to next: UInt64, _ used: Double) -> Change? {
        guard next != interval else { return nil }
        let verb = next > interval ? "widens" : "comes back"
        interval = next
        let percent = Double(Int(used * 100_000)) / 1_000
        return Change(
            interval: next,
            description: "heap sampling took \(percent) % of a core; its interval \(verb) to "
                + "\(next) bytes (budget: \(share * 100) %)")
    }
}
