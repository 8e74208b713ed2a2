// SPDX-License-Identifier: Apache-2.0
// Pages and helpers for the endpoint's tests.

import Dispatch
import OutriderEndpoint
import OutriderThreading
import Testing

/// A page whose response comes from a closure.
struct TestPage: Page {
    let path: String
    var aliases: [String] = []
    var summary = "for <tests> & more"
    var audience = PageAudience.everyone
    var answer: @Sendable (Request) -> Response = { _ in .text("hello\n") }

    func respond(to request: Request) -> Response { answer(request) }
}

/// A door at which a page waits until the test opens it.
final class BlockingGate: Sendable {
    let entered = DispatchSemaphore(value: 0)
    private let opened = DispatchSemaphore(value: 0)

    /// Called by the page; gives up after five minutes.
    func pass() {
        entered.signal()
        _ = opened.wait(timeout: .now() + 300)
    }

    func open() { opened.signal() }

    /// Waits until a page has arrived at the door.
    func waitForArrival() -> Bool { entered.wait(timeout: .now() + 60) == .success }
}

func startEndpoint(
    _ pages: [any Page] = [TestPage(path: "/hello")],
    at address: ListenAddress = .loopback(port: 0),
    _ change: (inout Endpoint.Configuration) -> Void = { _ in }
) throws(EndpointError) -> Endpoint {
    var configuration = Endpoint.Configuration(address: address)
    change(&configuration)
    return try Endpoint(configuration, pages: pages)
}

/// Stops an endpoint on another thread; the latch opens when it has stopped.
func stopOnOwnThread(_ endpoint: Endpoint) -> Latch {
    let isStopped = Latch()
    let hasStarted = DetachedThread.start {
        endpoint.stop()
        isStopped.open()
    }
    #expect(hasStarted)
    return isStopped
}

/// A path for a Unix socket that no other test uses.
func freshSocketPath() -> String {
    "/tmp/outrider-test-\(UInt64.random(in: 0 ... .max)).sock"
}
