// SPDX-License-Identifier: Apache-2.0
// Processor-time budgets of requests, so that busy clients do not take processors from the service.
//
// Each address has a budget for each page: a client that takes profiles can still scrape. All
// addresses together share a budget for each page. When that is spent, only addresses that
// contributed to it are refused.

internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Processor time by address and page; thread-safe.
package final class CPUBudget: Sendable {
    /// The decision on a request.
    package enum Verdict: Hashable, Sendable {
        case granted
        /// The address has spent its budget for this page.
        case addressHasSpent
        /// The page's shared budget is spent, and the address contributed to it.
        case pageHasSpent
    }

    private struct BudgetKey: Hashable, Sendable {
        let client: ClientAddress
        let page: Int
    }

    private struct State: Sendable {
        var ofAddresses: TokenBuckets<BudgetKey>
        var ofPages: TokenBuckets<Int>
    }

    /// Processor time that an address may take at once, in seconds.
    package static let burst = 1.0
    /// The shared budget of all addresses, as a multiple of the budget of one.
    private static let addresses = 2.0
    /// Cost of a request outside its page, for reading and writing, in seconds.
    package static let overhead = 50e-6

    private let state: Guarded<State>

    /// Each address may take this share of one processor for each page.
    package init(share: Double) {
        state = Guarded(
            State(
                ofAddresses: TokenBuckets(burst: Self.burst, rate: share),
                ofPages: TokenBuckets(
                    burst: Self.burst * Self.addresses, rate: share * Self.addresses)))
    }

    /// Whether an address may have a page now.
    package func judge(
        _ client: ClientAddress, page: Int, at now: ContinuousClock.Instant
    ) -> Verdict {
        state.withLock { state in
            let own = state.ofAddresses.balance(for: BudgetKey(client: client, page: page), at: now)
            if own <= 0 { return .addressHasSpent }
            let isShort = state.ofPages.balance(for: page, at: now) <= 0
            return isShort && own < Self.burst / 2 ? .pageHasSpent : .granted
        }
    }

    /// Charges the processor time of a request, in seconds.
    package func charge(
        _ seconds: Double, to client: ClientAddress, page: Int, at now: ContinuousClock.Instant
    ) {
        let cost = seconds + Self.overhead
        state.withLock { state in
            state.ofAddresses.take(cost, for: BudgetKey(client: client, page: page), at: now)
            state.ofPages.take(cost, for: page, at: now)
        }
    }

    /// Processor time that the calling thread has used, in seconds (clock_gettime(3)).
    static var ofThisThread: Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
