// SPDX-License-Identifier: Apache-2.0
// Tests of a waiting page: it wakes when its time elapses, its client disconnects, or the endpoint
// stops.

import Dispatch
import OutriderEndpoint
import TestSupport
import Testing

@Suite struct PauseTests {
    private let entered = DispatchSemaphore(value: 0)
    private let time = ManualTime()

    private func page(_ duration: Duration) -> TestPage {
        TestPage(path: "/slow") { [entered] request in
            entered.signal()
            let end = request.pause(for: duration)
            return end == .stopping ? .unavailable("stopping") : .text("\(end)")
        }
    }

    @Test func `a pause ends when its time elapses, and not before`() throws {
        let endpoint = try startEndpoint([page(.seconds(20))]) { $0.time = time }
        defer { endpoint.stop() }
        let connection = try Connection(endpoint.address)
        try connection.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(time.awaitWaiter(in: .seconds(20)))
        time.advance(by: .seconds(19))
        #expect(time.awaitWaiter(in: .seconds(1)))
        time.advance(by: .seconds(1))
        #expect(try connection.response(within: 60).text == "elapsed")
    }

    @Test func `a pause ends in real time too`() throws {
        let endpoint = try startEndpoint([page(.milliseconds(20))])
        defer { endpoint.stop() }
        #expect(try fetch("/slow", from: endpoint.address).text == "elapsed")
    }

    @Test func `stopping ends the pause, and the client gets 503`() throws {
        let endpoint = try startEndpoint([page(.seconds(60))]) { $0.time = time }
        let connection = try Connection(endpoint.address)
        try connection.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(time.awaitWaiter(in: .seconds(60)))
        endpoint.stop()
        let response = try connection.response(within: 60)
        #expect(response.status == 503)
        #expect(response.header("Retry-After") == "1")
        #expect(connection.isClosed(withinMilliseconds: 60_000))
    }

    @Test func `a client that disconnects ends the pause`() throws {
        let left = DispatchSemaphore(value: 0)
        let endpoint = try startEndpoint([
            TestPage(path: "/slow") { [entered] request in
                entered.signal()
                if request.pause(for: .seconds(3_600)) == .clientDisconnected { left.signal() }
                return .text("")
            }
        ])
        defer { endpoint.stop() }
        do {
            let connection = try Connection(endpoint.address)
            try connection.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(entered.wait(timeout: .now() + 60) == .success)
        }
        #expect(left.wait(timeout: .now() + 60) == .success)
    }
}
