// SPDX-License-Identifier: Apache-2.0
// What one client takes of processors and memory is bounded, and costs no other one its answers.

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

    @Test func `an allowance is a burst, and a rate in the long run`() {
        var allowances = Allowances<Int>(burst: 10, rate: 2)
        allowances.take(10, for: 1, at: now)
        #expect(allowances.left(for: 1, at: now) == 0)
        #expect(allowances.left(for: 2, at: now) == 10)
        #expect(allowances.left(for: 1, at: now + .seconds(3)) == 6)
        #expect(allowances.left(for: 1, at: now + .seconds(3_600)) == 10)
        // However much was taken, one burst later it is as if nothing had been.
        allowances.take(1_000, for: 1, at: now)
        #expect(allowances.left(for: 1, at: now + .seconds(10)) == 10)
    }

    @Test func `as many keys are remembered as there is room for, those that took most first`() {
        var allowances = Allowances<Int>(burst: 10, rate: 1)
        allowances.take(9, for: -1, at: now)
        for key in 0..<10_000 { allowances.take(1, for: key, at: now) }
        #expect(allowances.count <= 4_096)
        #expect(allowances.left(for: -1, at: now) == 1)
    }

    @Test func `room is made for many new keys at a time`() {
        var allowances = Allowances<Int>(burst: 10, rate: 1)
        for key in 0..<4_096 { allowances.take(1, for: key, at: now) }
        #expect(allowances.count == 4_096)
        // So that a crowd of addresses does not have all the others looked at for each of its requests.
        allowances.take(1, for: -1, at: now)
        #expect(allowances.count <= 3_073)
        #expect(allowances.left(for: -1, at: now) == 9)
        // Those that have their whole burst again are all forgotten.
        for key in 10_000..<11_100 { allowances.take(1, for: key, at: now + .seconds(60)) }
        #expect(allowances.count == 1_100)
    }

    @Test func `who takes more than a share of a processor is refused until it is earned again`() {
        let budget = ProcessorBudget(share: 0.25)
        #expect(budget.judge(greedy, page: 0, at: now) == .granted)
        budget.charge(1.5, to: greedy, page: 0, at: now)
        #expect(budget.judge(greedy, page: 0, at: now) == .addressHasSpent)
        #expect(budget.judge(greedy, page: 0, at: now + .seconds(1)) == .addressHasSpent)
        #expect(budget.judge(greedy, page: 0, at: now + .seconds(3)) == .granted)
        // Another page and another address have their own.
        #expect(budget.judge(greedy, page: 1, at: now) == .granted)
        #expect(budget.judge(modest, page: 0, at: now) == .granted)
    }

    @Test func `when a page's budget is spent, those are refused that had a part in it`() {
        let budget = ProcessorBudget(share: 0.25)
        let crowd = (1...4).map { ClientAddress([127, 0, 7, $0]) }
        for client in crowd { budget.charge(0.6, to: client, page: 0, at: now) }
        for client in crowd { #expect(budget.judge(client, page: 0, at: now) == .pageHasSpent) }
        #expect(budget.judge(modest, page: 0, at: now) == .granted)
    }

    @Test func `bodies take no more memory than they may, and one that is shared counts once`() {
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
        // One is always under way.
        let huge = BodyBytes.array([UInt8](repeating: 4, count: 20 << 20))
        #expect(budget.enter(huge, for: unix))
    }

    @Test func `bodies that one address reads slowly leave another one its answer`() {
        let budget = BodyBudget(limit: 10 << 20)
        let bodies = (0..<8).map { BodyBytes.array([UInt8](repeating: $0, count: 2 << 20)) }
        // Half of what there is, and a first one of any size.
        #expect(bodies[0..<4].count { budget.enter($0, for: greedy) } == 2)
        let large = BodyBytes.array([UInt8](repeating: 9, count: 9 << 20))
        #expect(!budget.isFull)
        #expect(budget.enter(large, for: modest))
        // More than there may be is under way now: whoever it is, nobody adds to it.
        #expect(budget.isFull)
        #expect(!budget.enter(bodies[5], for: ClientAddress([127, 0, 0, 10])))
    }

    /// A page each of whose answers takes more than a third of what an address may take at once.
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

    @Test func `an address that asks for a costly page all the time is told to come later`() throws
    {
        let time = ManualTime()
        let endpoint = try start(time)
        defer { endpoint.stop() }
        let client = try Connection(endpoint.address)
        try client.send(String(repeating: "GET /costly HTTP/1.1\r\nHost: a\r\n\r\n", count: 4))
        for _ in 0..<3 { #expect(try client.response().status == 200) }
        // It waits a moment for the next one, so that it cannot ask again at once.
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

    @Test func `a probe is answered later, and never refused`() throws {
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

/// Uses a processor for so long.
private func takeProcessor(seconds: Double) {
    func used() -> Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    let end = used() + seconds
    while used() < end {}
}
