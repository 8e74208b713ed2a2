// SPDX-License-Identifier: Apache-2.0
// Tests of the CPU and memory budgets: each client's use is bounded, and other clients still get
// responses.

import Glibc
import OutriderEndpoint
import OutriderThreading
import TestSupport
import Testing

@Suite struct BudgetTests {
    private let now = ContinuousClock.now
    private let greedy = ClientAddress([127, 0, 7, 1])
    private let modest = ClientAddress([127, 0, 0, 9])
    private let unix = ClientAddress([])

    @Test func `an allowance permits a burst, then a rate`() {
        var allowances = TokenBuckets<Int>(burst: 10, rate: 2)
        allowances.take(10, for: 1, at: now)
        #expect(allowances.balance(for: 1, at: now) == 0)
        #expect(allowances.balance(for: 2, at: now) == 10)
        #expect(allowances.balance(for: 1, at: now + .seconds(3)) == 6)
        #expect(allowances.balance(for: 1, at: now + .seconds(3_600)) == 10)
        // However much was taken, the allowance is full again after one burst's worth of time.
        allowances.take(1_000, for: 1, at: now)
        #expect(allowances.balance(for: 1, at: now + .seconds(10)) == 10)
    }

    @Test func `remembered keys are bounded, and the largest consumers are kept`() {
        var allowances = TokenBuckets<Int>(burst: 10, rate: 1)
        allowances.take(9, for: -1, at: now)
        for key in 0..<10_000 { allowances.take(1, for: key, at: now) }
        #expect(allowances.count <= 4_096)
        #expect(allowances.balance(for: -1, at: now) == 1)
    }

    @Test func `room for new keys is made in batches`() {
        var allowances = TokenBuckets<Int>(burst: 10, rate: 1)
        for key in 0..<4_096 { allowances.take(1, for: key, at: now) }
        #expect(allowances.count == 4_096)
        // Otherwise each request from a crowd of addresses would scan all entries.
        allowances.take(1, for: -1, at: now)
        #expect(allowances.count <= 3_073)
        #expect(allowances.balance(for: -1, at: now) == 9)
        // Keys with a full burst again are all forgotten.
        for key in 10_000..<11_100 { allowances.take(1, for: key, at: now + .seconds(60)) }
        #expect(allowances.count == 1_100)
    }

    @Test func `a client that exceeds its CPU share is refused until its budget has refilled`() {
        let budget = CPUBudget(share: 0.25)
        #expect(budget.judge(greedy, page: 0, at: now) == .granted)
        budget.charge(1.5, to: greedy, page: 0, at: now)
        #expect(budget.judge(greedy, page: 0, at: now) == .addressHasSpent)
        #expect(budget.judge(greedy, page: 0, at: now + .seconds(1)) == .addressHasSpent)
        #expect(budget.judge(greedy, page: 0, at: now + .seconds(3)) == .granted)
        // Other pages and other addresses have separate budgets.
        #expect(budget.judge(greedy, page: 1, at: now) == .granted)
        #expect(budget.judge(modest, page: 0, at: now) == .granted)
    }

    @Test func `when a page's CPU budget is spent, only clients that used it are refused`() {
        let budget = CPUBudget(share: 0.25)
        let crowd = (1...4).map { ClientAddress([127, 0, 7, $0]) }
        for client in crowd { budget.charge(0.6, to: client, page: 0, at: now) }
        for client in crowd { #expect(budget.judge(client, page: 0, at: now) == .pageHasSpent) }
        #expect(budget.judge(modest, page: 0, at: now) == .granted)
    }

    @Test func `response bodies stay within the memory limit, and a shared body counts once`() {
        let budget = BodyBudget(limit: 10 << 20)
        let large = BodyBytes.array([UInt8](repeating: 1, count: 6 << 20))
        let other = BodyBytes.array([UInt8](repeating: 2, count: 6 << 20))
        let small = BodyBytes.array([UInt8](repeating: 3, count: 1 << 10))
        #expect(budget.enter(large, for: unix) && budget.enter(large, for: unix))
        #expect(budget.bytes == large.room)
        #expect(!budget.enter(other, for: unix))
        #expect(budget.enter(small, for: unix))
        budget.leave(large)
        #expect(!budget.enter(other, for: unix))
        budget.leave(large)
        #expect(budget.enter(other, for: unix))
        budget.leave(other)
        budget.leave(small)
        #expect(budget.bytes == 0)
        // One body is always admitted.
        let huge = BodyBytes.array([UInt8](repeating: 4, count: 20 << 20))
        #expect(budget.enter(huge, for: unix))
    }

    @Test func `bodies that one address reads slowly do not block another address`() {
        let budget = BodyBudget(limit: 10 << 20)
        let bodies = (0..<8).map { BodyBytes.array([UInt8](repeating: $0, count: 2 << 20)) }
        // Half of the limit, and a first body of any size.
        #expect(bodies[0..<4].count { budget.enter($0, for: greedy) } == 2)
        let large = BodyBytes.array([UInt8](repeating: 9, count: 9 << 20))
        #expect(!budget.isFull)
        #expect(budget.enter(large, for: modest))
        // The limit is exceeded now, so no client gets another body.
        #expect(budget.isFull)
        #expect(!budget.enter(bodies[5], for: ClientAddress([127, 0, 0, 10])))
    }

    /// A page whose response uses more than a third of an address's CPU burst.
    private struct CostlyPage: Page {
        let path: String
        let summary = ""
        var isForProbes = false

        func respond(to request: Request) -> Response {
            takeProcessor(seconds: 0.4)
            return .text("done\n")
        }
    }

    private func start(_ time: ManualTime) throws -> Endpoint {
        try startEndpoint([
            CostlyPage(path: "/costly"), CostlyPage(path: "/probe", isForProbes: true),
            TestPage(path: "/hello"),
        ]) { $0.time = time }
    }

    @Test func `an address that keeps requesting a costly page gets 429 with Retry-After`() throws {
        let time = ManualTime()
        let endpoint = try start(time)
        defer { endpoint.stop() }
        let client = try Connection(endpoint.address)
        try client.send(String(repeating: "GET /costly HTTP/1.1\r\nHost: a\r\n\r\n", count: 4))
        for _ in 0..<3 { #expect(try client.response().status == 200) }
        // The refusal is delayed, so that the client cannot retry at once.
        try #require(time.awaitWaiter(in: .milliseconds(250)))
        time.advance(by: .milliseconds(250))
        let refusal = try client.response()
        #expect(refusal.status == 429)
        #expect(refusal.header("Retry-After") == "1")
        #expect(try fetch("/hello", from: endpoint.address).status == 200)
        let other = try Connection(endpoint.address, from: "127.0.0.9")
        try other.send("GET /costly HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try other.response().status == 200)
    }

    @Test func `a probe is delayed but never refused`() throws {
        let time = ManualTime()
        let endpoint = try start(time)
        defer { endpoint.stop() }
        let client = try Connection(endpoint.address)
        try client.send(String(repeating: "GET /probe HTTP/1.1\r\nHost: a\r\n\r\n", count: 4))
        for _ in 0..<3 { #expect(try client.response().status == 200) }
        try #require(time.awaitWaiter(in: .milliseconds(25)))
        time.advance(by: .milliseconds(25))
        #expect(try client.response().status == 200)
    }
}

/// Uses a CPU for this many seconds.
private func takeProcessor(seconds: Double) {
    func used() -> Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    let end = used() + seconds
    while used() < end {}
}
