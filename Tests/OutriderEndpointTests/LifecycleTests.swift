// SPDX-License-Identifier: Apache-2.0
// Starting, failing to start, and stopping: nothing is left behind, nobody is kept waiting.

import Dispatch
import Glibc
import OutriderEndpoint
import OutriderThreading
import TestSupport
import Testing

@Suite struct LifecycleTests {
    @Test(arguments: ["127.0.0.1:0", "[::1]:0"])
    func `port 0 is any free port, and the endpoint tells which`(text: String) throws {
        let endpoint = try startEndpoint(at: try ListenAddress(text))
        defer { endpoint.stop() }
        #expect(endpoint.address.port != 0)
        #expect(try fetch("/hello", from: endpoint.address).status == 200)
    }

    @Test func `a port that is taken is an error that says what to do`() throws {
        let first = try startEndpoint()
        defer { first.stop() }
        let error = #expect(throws: EndpointError.self) { try startEndpoint(at: first.address) }
        #expect(error?.code == .addressInUse)
        #expect(error?.errno == EADDRINUSE)
        #expect(error?.description.contains("OUTRIDER_ADDRESS") == true)
        #expect(try fetch("/hello", from: first.address).status == 200)
    }

    @Test func `an address of another machine is an error that says what to do`() throws {
        let error = #expect(throws: EndpointError.self) {
            try startEndpoint(at: try ListenAddress("192.0.2.1:0"))
        }
        #expect(error?.code == .addressNotAvailable)
        #expect(error?.description.contains("127.0.0.1") == true)
    }

    @Test func `a place that is not ours to listen at is an error that says what to do`() async {
        // In a process of its own, which gives its privileges away.
        await #expect(processExitsWith: .success) {
            if getuid() == 0 { guard setuid(65_534) == 0 else { exit(2) } }
            do throws(EndpointError) {
                _ = try startEndpoint(at: .unix(path: "/etc/outrider-test.sock"))
                exit(3)
            } catch {
                let tells = error.description.contains("permission denied")
                exit(error.code == .permissionDenied && tells ? 0 : 4)
            }
        }
    }

    // At the IPv6 address, whose ports no other test takes in the meantime.
    @Test func `after a stop the port is free and connections are refused`() throws {
        let endpoint = try startEndpoint(at: try ListenAddress("[::1]:0"))
        _ = try fetch("/hello", from: endpoint.address)
        endpoint.stop()
        #expect(throws: ConnectionFailure.self) { try Connection(endpoint.address) }
        let next = try startEndpoint(at: endpoint.address)
        next.stop()
    }

    @Test func `stopping again does nothing, from any thread`() throws {
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

    @Test func `a request in flight is answered before the endpoint is gone`() throws {
        let (door, time) = (Door(), ManualTime())
        defer { door.open() }
        let endpoint = try startEndpoint(
            [
                TestPage(path: "/slow") { _ in
                    door.pass()
                    return .text("done")
                }
            ], at: .unix(path: freshSocketPath())
        ) {
            $0.limits.drainTimeout = .milliseconds(300)
            $0.time = time
        }
        let connection = try Connection(endpoint.address)
        try connection.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(door.waitForVisitor())
        let isStopped = stopOnOwnThread(endpoint)
        // It waits for the request, and the listener is gone before that.
        #expect(time.awaitWaiter(in: .milliseconds(300)))
        #expect(throws: ConnectionFailure.self) { try Connection(endpoint.address) }
        door.open()
        #expect(try connection.response(within: 60).text == "done")
        #expect(isStopped.wait(for: .seconds(60)))
    }

    @Test func `a page that does not end holds up a stop for 0.9 seconds and no longer`() throws {
        let (door, time) = (Door(), ManualTime())
        defer { door.open() }
        let endpoint = try startEndpoint([
            TestPage(path: "/stuck") { _ in
                door.pass()
                return .text("late")
            }
        ]) {
            $0.limits.drainTimeout = .milliseconds(50)
            $0.time = time
        }
        let connection = try Connection(endpoint.address)
        try connection.send("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(door.waitForVisitor())
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
        // First it waits for its own request to be answered, then for its own thread to end.
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

    @Test func `a forked child that lives on does not keep its parent's port`() throws {
        let endpoint = try startEndpoint(at: try ListenAddress("[::1]:0"))
        try besideForkedChild {
            endpoint.stop()
            #expect(throws: ConnectionFailure.self) { try Connection(endpoint.address) }
            let next = try startEndpoint(at: endpoint.address)
            #expect(try fetch("/hello", from: next.address).status == 200)
            next.stop()
        }
    }

    @Test func `a host that closes the endpoint's sockets lives on`() async {
        // In a process of its own, whose descriptors may be closed at will.
        await #expect(processExitsWith: .success) {
            let told = DispatchSemaphore(value: 0)
            let endpoint = try startEndpoint { $0.log = { _ in told.signal() } }
            let client = try Connection(endpoint.address)
            try client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try client.response()
            for descriptor in descriptors(boundTo: endpoint.address) { close(descriptor) }
            // The library tries to close what is closed already, which it takes for a reason to
            // abort.
            client.finishSending()
            // Or there is nothing to close any more; it need not come to a word about it.
            DispatchQueue.global().async {
                endpoint.stop()
                told.signal()
            }
            exit(told.wait(timeout: .now() + 60) == .success ? 0 : 1)
        }
    }

    // The thread sanitizer needs more address space than that by itself.
    @Test(.enabled(if: !isUnderThreadSanitizer))
    func `without memory for a thread, starting fails and leaves nothing behind`() async {
        // In a process of its own, which is then short of address space.
        await #expect(processExitsWith: .success) {
            // Counting takes memory too, so that only the start goes short of it.
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
            // The stacks of threads that have ended are used again, so the first may succeed.
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

/// Hands an endpoint to its own page.
private final class EndpointBox: Sendable {
    let endpoint = Guarded<Endpoint?>(nil)
    let isStopped = Latch()
}
