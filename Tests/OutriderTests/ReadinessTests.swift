// SPDX-License-Identifier: Apache-2.0
// Whether the service wants traffic is what its checks say, whoever asks and however many ask at a time.

import Dispatch
import Outrider
import OutriderEndpoint
import Synchronization
import TestSupport
import Testing

@Suite struct ReadinessTests {
    @Test func `a check that hangs makes the service unready, and holds up nobody past its limit`()
        throws
    {
        let release = DispatchSemaphore(value: 0)
        let agent = Agent.start(isolated())
        defer { agent.stop() }
        agent.addReadinessCheck("database") { release.wait(timeout: .now() + 300) == .success }
        for _ in 0..<20 {
            let response = try fetch("/readyz", from: address(of: agent))
            #expect(response.status == 503)
            #expect(response.text == "still asking: database\n")
        }
        #expect(try fetch("/healthz", from: address(of: agent)).status == 200)
        for _ in 0..<1_000 { release.signal() }
        #expect(try eventually { try fetch("/readyz", from: address(of: agent)).status == 200 })
    }

    @Test func `requests that come while a check runs share its answer`() async throws {
        let time = ManualTime()
        let readiness = Readiness(.ready, time: time)
        let release = DispatchSemaphore(value: 0)
        let runs = Atomic<Int>(0)
        let isPassing = Atomic<Bool>(true)
        readiness.addCheck("database", within: .seconds(1)) {
            runs.add(1, ordering: .relaxed)
            release.wait()
            return isPassing.load(ordering: .relaxed)
        }
        for answer in [true, false] {
            isPassing.store(answer, ordering: .relaxed)
            runs.store(0, ordering: .relaxed)
            async let answers = withThrowingTaskGroup { group in
                for _ in 0..<40 {
                    group.addTask { try await onOwnThread { readiness.obstacles() } }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let everyoneWaits = time.awaitWaiter(in: .seconds(1), count: 40)
            release.signal()
            #expect(everyoneWaits)
            #expect(
                try await answers
                    == Array(repeating: answer ? [] : ["failing: database"], count: 40))
            #expect(runs.load(ordering: .relaxed) == 1)
        }
    }

    @Test func `who comes late waits for no longer than the check still has`() async throws {
        let time = ManualTime()
        let readiness = Readiness(.ready, time: time)
        let release = DispatchSemaphore(value: 0)
        readiness.addCheck("database", within: .seconds(1)) {
            release.wait(timeout: .now() + 300) == .success
        }
        async let first = onOwnThread { readiness.obstacles() }
        #expect(time.awaitWaiter(in: .seconds(1)))
        time.advance(by: .milliseconds(900))
        async let second = onOwnThread { readiness.obstacles() }
        #expect(time.awaitWaiter(in: .milliseconds(100), count: 2))
        time.advance(by: .milliseconds(100))
        #expect(try await first == ["still asking: database"])
        #expect(try await second == ["still asking: database"])
        // Nobody waits for a check that is past its limit, and nobody asks it twice.
        #expect(try await onOwnThread { readiness.obstacles() } == ["still asking: database"])
        release.signal()
    }

    @Test func `a service is ready from the start unless it says otherwise`() throws {
        let agent = Agent.start(isolated())
        defer { agent.stop() }
        for path in ["/readyz", "/-/ready"] {
            #expect(try fetch(path, from: address(of: agent)).status == 200)
        }
    }

    @Test func `a service that starts is alive but not ready`() throws {
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

    @Test func `a service that drains is alive, not ready, and does not come back`() throws {
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

    @Test func `a failing check makes it unready by name, until it passes again`() throws {
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

private final class FlagBox: Sendable {
    let isUp = Atomic<Bool>(false)
}
