// SPDX-License-Identifier: Apache-2.0
// Five typical faults of services, to be found with only metrics and profiles: docs/diagnose.md.

import Foundation
import Synchronization

enum Fault: String, CaseIterable, Sendable {
    /// Every lookup leaks memory.
    case leak
    /// Some lookups block a thread of the executor, as a blocking C call does.
    case blockedExecutor = "blocked-executor"
    /// Some queries keep their database connection too long, so that the pool is exhausted.
    case dryPool = "dry-pool"
    /// One route computes far more than necessary.
    case hotRoute = "hot-route"
    /// Entries of the in-process cache expire at once.
    case coldCache = "cold-cache"

    /// The leaked memory.
    private static let recentlyViewed = Mutex<[[UInt8]]>([])

    /// The extra work of an order lookup.
    func strikeLookUp() {
        switch self {
        case .leak: Self.rememberView()
        case .blockedExecutor: if Int.random(in: 0..<200) == 0 { Self.waitInC() }
        case .hotRoute: Self.priceOverAndOver()
        case .dryPool, .coldCache: break
        }
    }

    /// The extra work of a query, while it holds its connection.
    func strikeQuery() async throws {
        if self == .dryPool { try await Task.sleep(for: .milliseconds(30)) }
    }

    @inline(never)
    private static func rememberView() {
        recentlyViewed.withLock { $0.append([UInt8](repeating: 1, count: 2_048)) }
    }

    @inline(never)
    private static func waitInC() { usleep(250_000) }

    @inline(never)
    private static func priceOverAndOver() {
        var price = 1.0
        for step in 1...60_000 { price += 1 / (price + Double(step)) }
        precondition(price.isFinite)
    }
}
