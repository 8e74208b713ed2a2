// SPDX-License-Identifier: Apache-2.0
// Five things that go wrong in services, to be found with nothing but metrics and profiles: docs/diagnose.md.

import Foundation
import Synchronization

enum Fault: String, CaseIterable, Sendable {
    /// Every look-up leaves something behind.
    case leak
    /// Some look-ups block a thread of the executor, as a call of C does that waits.
    case blockedExecutor = "blocked-executor"
    /// Some readers of the database come back late, so that there are too few.
    case dryPool = "dry-pool"
    /// One route computes far more than it has to.
    case hotRoute = "hot-route"
    /// The cache of the process forgets at once.
    case coldCache = "cold-cache"

    /// What the leak has left behind.
    private static let recentlyViewed = Mutex<[[UInt8]]>([])

    /// What a look-up of an order does beside its work.
    func strikeLookUp() {
        switch self {
        case .leak: Self.rememberView()
        case .blockedExecutor: if Int.random(in: 0..<200) == 0 { Self.waitInC() }
        case .hotRoute: Self.priceOverAndOver()
        case .dryPool, .coldCache: break
        }
    }

    /// What a query does beside its work, with its connection in hand.
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
