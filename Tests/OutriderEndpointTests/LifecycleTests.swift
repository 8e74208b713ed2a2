// SPDX-License-Identifier: Apache-2.0
// Tests of starting, failing to start, and stopping: nothing leaks, and no client is kept waiting.

import Dispatch
import Glibc
import OutriderEndpoint
import OutriderThreading
import TestSupport
import Testing

@Suite struct LifecycleTests {
    @Test(arguments: ["127.0.0.1:0", "[::1]:0"])
    func `port 0 picks a free port, and the endpoint reports it`(text: String) throws {
        let endpoint = try startEndpoint(at: try ListenAddress(text))
        defer { endpoint.stop() }
        #expect(endpoint.address.port != 0)
        #expect(try fetch("/hello", from: endpoint.address).status == 200)
    }

    @Test func `a port in use is an error that suggests a remedy`() throws {
        let first = try startEndpoint()
        defer { first.stop() }
        let error = #expect(throws: EndpointError.self) { try startEndpoint(at: first.address) }
        #expect(error?.code == .addressInUse)
        #expect(error?.errno == EADDRINUSE)
        #expect(error?.description.contains("OUTRIDER_ADDRESS") == true)
        #expect(try fetch("/hello", from: first.address).status == 200)
    }

    @Test func `an address of another machine is an error that suggests a remedy`() throws {
        let error = #expect(throws: EndpointError.self) {
            try startEndpoint(at: try ListenAddress("192.0.2.1:0"))
        }
        #expect(error?.code == .addressNotAvailable)
        #expect(error?.description.contains("127.0.0.1") == true)
    }

    @Test func `a path without write permission is an error that suggests a remedy`() async {
        // In a separate process, which drops its privileges.
        await #expect(processExitsWith: .success) {
            if getuid() == 0 { guard setuid(65_534) == 0 else { exit(2) } }
            do throws(EndpointError) {
                _ = try startEndpoint(at: .unix(path: "/etc/outrider-test.sock"))
                exit(3)
            } catch {
                let isExplained = error.description.contains("permission denied")
                exit(error.code == .permissionDenied && isExplained ? 0 : 4)
            }
        }
    }

    // On the IPv6 address, whose ports no other test uses.
    @Test func `after a stop the port is free and connections are refused`() throws {
        let endpoint = try startEndpoint(at: try ListenAddress("[::1]:0"))
        _ = try fetch("/hello", from: endpoint.address)
        endpoint.stop()
        #expect(throws: ConnectionFailure.self) { try Connection(endpoint.address) }
        let next = try startEndpoint(at: endpoint.address)
        next.stop()
    }

    @Test func `stopping again has no effect, from any thread`() throws {
        let endpoint = try startEndpoint()
        DispatchQueue.concurrentPerform(iterations: 8) { _ in endpoint.stop() }
        endpoint.stop()
    }

    @Test func `an idle connection does not delay a stop`() throws {
        let endpoint = try startEndpoint()
        let idle = try Connection(endpoint.address)
        try idle.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        _ = try idle.response()
        endpoint.stop()
        #expect(idle.isClosed(withinMilliseconds: 60_000))
    }

    @Test func `a stop waits for a request in progress to be answered`() throws {
        let (gate, time) = (BlockingGate(), ManualTime())
        defer { gate.open() }
        let endpoint = try startEndpoint(
            [
                TestPage(path: "/slow") { _ in
                    gate.pass()
                    return .text("done")
                }
            ], at: .unix(path: freshSocketPath())
        ) {
            $0.limits.drainTimeout = .milliseconds(300)
            $0.time = time
        }
        let connection = try Connection(endpoint.address)
        try connection.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(gate.waitForArrival())
        let isStopped = stopOnOwnThread(endpoint)
        // stop() waits for the request, after it has closed the listener.
        #expect(time.awaitWaiter(in: .milliseconds(300)))
        #expect(throws: ConnectionFailure.self) { try Connection(endpoint.address) }
        gate.open()
        #expect(try connection.response(within: 60).text == "done")
        #expect(isStopped.wait(for: .seconds(60)))
    }

    @Test func `a page that does not return delays a stop by at most 0.9 seconds`() throws {
        let (gate, time) = (BlockingGate(), ManualTime())
        defer { gate.open() }
        let endpoint = try startEndpoint([
            TestPage(path: "/stuck") { _ in
                gate.pass()
                return .text("late")
            }
        ]) {
            $0.limits.drainTimeout = .milliseconds(50)
            $0.time = time
        }
        let connection = try Connection(endpoint.address)
        try connection.send("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(gate.waitForArrival())
        let isStopped = stopOnOwnThread(endpoint)
        #expect(time.awaitWaiter(in: .milliseconds(50)))
        time.advance(by: .milliseconds(50))
        #expect(time.awaitWaiter(in: .milliseconds(850)))
        #expect(!isStopped.isOpen)
        time.advance(by: .milliseconds(850))
        #expect(isStopped.wait(for: .seconds(60)))
    }

    @Test func `a page may stop its own endpoint`() throws {
        let (box, time) = (EndpointBox(), ManualTime())
        let endpoint = try startEndpoint(
            [
                TestPage(path: "/quit") { _ in
                    box.endpoint.withLock { $0 }?.stop()
                    box.isStopped.open()
                    return .text("bye")
                }
            ], at: .unix(path: freshSocketPath())
        ) {
            $0.limits.drainTimeout = .milliseconds(50)
            $0.time = time
        }
        box.endpoint.withLock { $0 = endpoint }
        let connection = try Connection(endpoint.address)
        try connection.send("GET /quit HTTP/1.1\r\nHost: a\r\n\r\n")
        // It first waits for the response to its own request, then for its own thread to end.
        #expect(time.awaitWaiter(in: .milliseconds(50)))
        #expect(throws: ConnectionFailure.self) { try Connection(endpoint.address) }
        time.advance(by: .milliseconds(50))
        #expect(time.awaitWaiter(in: .milliseconds(850)))
        time.advance(by: .milliseconds(850))
        #expect(box.isStopped.wait(for: .seconds(60)))
    }

    @Test func `a forked child cannot stop its parent's listener`() throws {
        let endpoint = try startEndpoint()
        defer { endpoint.stop() }
        #expect(inForkedChild { endpoint.stop() } == 0)
        #expect(try fetch("/hello", from: endpoint.address).status == 200)
    }

    @Test func `a forked child that keeps running does not hold its parent's port`() throws {
        let endpoint = try startEndpoint(at: try ListenAddress("[::1]:0"))
        try besideForkedChild {
            endpoint.stop()
            #expect(throws: ConnectionFailure.self) { try Connection(endpoint.address) }
            let next = try startEndpoint(at: endpoint.address)
            #expect(try fetch("/hello", from: next.address).status == 200)
            next.stop()
        }
    }

    @Test func `a service that closes the endpoint's sockets keeps running`() async {
        // In a separate process, whose descriptors may be closed.
        await #expect(processExitsWith: .success) {
            let logged = DispatchSemaphore(value: 0)
            let endpoint = try startEndpoint { $0.log = { _ in logged.signal() } }
            let client = try Connection(endpoint.address)
            try client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try client.response()
            for descriptor in descriptors(boundTo: endpoint.address) { close(descriptor) }
            // The library then closes a descriptor that is closed already, which it treats as
            // fatal.
            client.finishSending()
            // Or nothing is left to close, and nothing is logged.
            DispatchQueue.global().async {
                endpoint.stop()
                logged.signal()
            }
            exit(logged.wait(timeout: .now() + 60) == .success ? 0 : 1)
        }
    }

    // The thread sanitizer itself needs more address space than the limit allows.
    @Test(.enabled(if: !isUnderThreadSanitizer))
    func `without memory for a thread, starting fails and leaves nothing behind`() async {
        // In a separate process, which then runs short of address space.
        await #expect(processExitsWith: .success) {
            // Counting sockets allocates too, so the limit applies to the start alone.
            func startWithoutMemory() -> Endpoint? {
                var limit = rlimit()
                unsafe getrlimit(Int32(RLIMIT_AS.rawValue), &limit)
                limit.rlim_cur = 1 << 20
                unsafe setrlimit(Int32(RLIMIT_AS.rawValue), &limit)
                defer {
                    limit.rlim_cur = limit.rlim_max
                    unsafe setrlimit(Int32(RLIMIT_AS.rawValue), &limit)
                }
                return try? startEndpoint()
            }
            // Stacks of ended threads are reused, so the first starts may succeed.
            var endpoints: [Endpoint] = []
            var before = Holdings.sockets()
            while endpoints.count < 100, let endpoint = startWithoutMemory() {
                endpoints.append(endpoint)
                before = Holdings.sockets()
            }
            let after = Holdings.sockets()
            exit(endpoints.count >= 100 ? 2 : after == before ? 0 : 3)
        }
    }
}

/// Passes an endpoint to its own page.
private final class EndpointBox: Sendable {
    let endpoint = Guarded<Endpoint?>(nil)
    let isStopped = Latch()
}
