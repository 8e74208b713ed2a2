// SPDX-License-Identifier: Apache-2.0
// A page that waits is woken by what matters: its time, its client, or the end of the endpoint.

import Dispatch
import OutriderEndpoint
import TestSupport
import Testing

@Suite struct PauseTests {
    private let entered = DispatchSemaphore(value: 0)

    private func page(_ duration: Duration) -> TestPage {
        TestPage(path: "/slow") { [entered] request in
            entered.signal()
            let end = request.pause(for: duration)
            return end == .stopping ? .unavailable("stopping") : .text("\(end)")
        }
    }

    @Test func `time passes`() throws {
        let endpoint = try startEndpoint([page(.milliseconds(20))])
        defer { endpoint.stop() }
        #expect(try fetch("/slow", from: endpoint.address).text == "elapsed")
    }

    @Test func `a stop wakes it, and its client is told 503`() throws {
        let endpoint = try startEndpoint([page(.seconds(60))])
        let connection = try Connection(endpoint.address)
        try connection.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(entered.wait(timeout: .now() + 10) == .success)
        endpoint.stop()
        let response = try connection.response()
        #expect(response.status == 503)
        #expect(response.header("Retry-After") == "1")
        #expect(connection.isClosed())
    }

    @Test func `a client that leaves wakes it`() throws {
        let left = DispatchSemaphore(value: 0)
        let endpoint = try startEndpoint([
            TestPage(path: "/slow") { [entered] request in
                entered.signal()
                if request.pause(for: .seconds(60)) == .clientLeft { left.signal() }
                return .text("")
            }
        ])
        defer { endpoint.stop() }
        do {
            let connection = try Connection(endpoint.address)
            try connection.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(entered.wait(timeout: .now() + 10) == .success)
        }
        #expect(left.wait(timeout: .now() + 10) == .success)
    }
}
