// SPDX-License-Identifier: Apache-2.0
// Tests of readiness, which depends on the service's checks, with any number of concurrent
// requests.

import Dispatch
import Outrider
import OutriderEndpoint
import OutriderThreading
import Synchronization
import TestSupport
import Testing

@Suite struct ReadinessTests {
    @Test func `a hung check makes the service unready, and delays responses up to its limit`()
        throws
    {
        let release = DispatchSemaphore(value: 0)
        let agent = Agent.start(isolated())
        defer { agent.stop() }
        agent.addReadinessCheck("database") { release.wait(timeout: .now() + 300) == .success }
        for _ in 0..<20 {
            let response = try fetch("/readyz", from: address(of: agent))
            #expect(response.status == 503)
            #expect(response.text == "timed out: database\n")
        }
        #expect(try fetch("/healthz", from: address(of: agent)).status == 200)
        for _ in 0..<1_000 { release.signal() }
        #expect(try eventually { try fetch("/readyz", from: address(of: agent)).status == 200 })
    }

    @Test func `requests that arrive while a check runs share its result`() throws {
        let time = ManualTime()
        let readiness = Readiness(.ready, time: time)
        let release = DispatchSemaphore(value: 0)
        let runs = Atomic<Int>(0)
        let isPassing = Atomic<Bool>(true)
        readiness.addCheck("database", within: .seconds(1)) {
            runs.add(1, ordering: .relaxed)
            return release.wait(timeout: .now() + 300) == .success
                && isPassing.load(ordering: .relaxed)
        }
        for answer in [true, false] {
            isPassing.store(answer, ordering: .relaxed)
            runs.store(0, ordering: .relaxed)
            let askers = Askers(40, of: readiness)
            #expect(time.awaitWaiter(in: .seconds(1), count: 40))
            release.signal()
            let expected = answer ? [] : ["failing: database"]
            #expect(askers.answers() == Array(repeating: expected, count: 40))
            #expect(runs.load(ordering: .relaxed) == 1)
        }
    }

    @Test func `a late request waits only for the rest of the check's limit`() throws {
        let time = ManualTime()
        let readiness = Readiness(.ready, time: time)
        let release = DispatchSemaphore(value: 0)
        readiness.addCheck("database", within: .seconds(1)) {
            release.wait(timeout: .now() + 300) == .success
        }
        let first = Askers(1, of: readiness)
        #expect(time.awaitWaiter(in: .seconds(1)))
        time.advance(by: .milliseconds(900))
        let second = Askers(1, of: readiness)
        #expect(time.awaitWaiter(in: .milliseconds(100), count: 2))
        time.advance(by: .milliseconds(100))
        #expect(first.answers() == [["timed out: database"]])
        #expect(second.answers() == [["timed out: database"]])
        // A check beyond its limit is not waited for and not started again.
        #expect(Askers(1, of: readiness).answers() == [["timed out: database"]])
        release.signal()
    }

    @Test func `a service is ready from the start by default`() throws {
        let agent = Agent.start(isolated())
        defer { agent.stop() }
        for path in ["/readyz", "/-/ready"] {
            #expect(try fetch(path, from: address(of: agent)).status == 200)
        }
    }

    @Test func `a starting service is alive but not ready`() throws {
        var configuration = isolated()
        configuration.startsReady = false
        let agent = Agent.start(configuration)
        defer { agent.stop() }
        let address = try address(of: agent)
        #expect(try fetch("/readyz", from: address).text == "starting\n")
        #expect(try fetch("/healthz", from: address).status == 200)
        agent.markReady()
        #expect(try fetch("/readyz", from: address).status == 200)
    }

    @Test func `a draining service is alive, not ready, and cannot become ready again`() throws {
        let agent = Agent.start(isolated())
        defer { agent.stop() }
        let address = try address(of: agent)
        agent.markDraining()
        agent.markReady()
        let response = try fetch("/readyz", from: address)
        #expect(response.status == 503)
        #expect(response.text == "draining\n")
        #expect(try fetch("/-/healthy", from: address).status == 200)
        #expect(try fetch("/metrics", from: address).status == 200)
    }

    @Test func `a failing check makes the service unready by name, until it passes again`() throws {
        let agent = Agent.start(isolated())
        defer { agent.stop() }
        let box = FlagBox()
        agent.addReadinessCheck("database") { box.isUp.load(ordering: .relaxed) }
        agent.addReadinessCheck("cache") { true }
        let response = try fetch("/readyz", from: address(of: agent))
        #expect(response.status == 503)
        #expect(response.text == "failing: database\n")
        box.isUp.store(true, ordering: .relaxed)
        #expect(try fetch("/readyz", from: address(of: agent)).status == 200)
    }
}

/// Threads that query the readiness at the same time.
private final class Askers: Sendable {
    private let count: Int
    private let all = Guarded<[[String]]>([])
    private let isDone = DispatchSemaphore(value: 0)

    init(_ count: Int, of readiness: Readiness) {
        self.count = count
        for _ in 0..<count {
            let hasStarted = DetachedThread.start { [self] in
                let answer = readiness.obstacles()
                all.withLock { $0.append(answer) }
                isDone.signal()
            }
            #expect(hasStarted)
        }
    }

    /// The results, once all threads have theirs.
    func answers() -> [[String]] {
        for _ in 0..<count { #expect(isDone.wait(timeout: .now() + 60) == .success) }
        return all.withLock { $0 }
    }
}

private final class FlagBox: Sendable {
    let isUp = Atomic<Bool>(false)
}
