// SPDX-License-Identifier: Apache-2.0
// Tests of how a request ends: its status, its error type, and whether its response was aborted.

import Glibc
import OutriderHTTP
import OutriderTesting
import Testing

@Suite struct OutcomeTests {
    private let recording = Recording()

    @Test func `a response is counted under its method, scheme, route and status`() throws {
        let token = recording.recorder.begin(method: "PUT", scheme: .https)
        token.setRoute(template: "/orders/{id}")
        token.setStatus(204)
        token.finish()
        try recording.expectOne("204", method: "PUT", scheme: "https")
    }

    @Test func `a response without a status is counted as 200`() throws {
        recording.begin().finish()
        try recording.expectOne("200")
    }

    @Test(arguments: [400, 404, 429, 499])
    func `a status below 500 is not an error`(status: Int) throws {
        let token = recording.begin()
        token.setStatus(status)
        token.finish()
        try recording.expectOne("\(status)")
    }

    @Test(arguments: [500, 503, 599, 999])
    func `a status from 500 on is its own error type`(status: Int) throws {
        let token = recording.begin()
        token.setStatus(status)
        token.finish()
        try recording.expectOne("\(status)", error: "\(status)")
    }

    @Test(arguments: [Int.min, -1, 0, 99, 1_000, 65_736, Int.max])
    func `a status out of range is counted as 500`(status: Int) throws {
        let token = recording.begin()
        token.setStatus(status)
        token.finish()
        try recording.expectOne("500", error: "500")
    }

    @Test(arguments: [100, 101, 199, 999])
    func `a status at the edge of the range is kept`(status: Int) throws {
        let token = recording.begin()
        token.setStatus(status)
        token.finish()
        #expect(try recording.counted(where: ["http_response_status_code": "\(status)"]) == 1)
    }

    // MARK: - Errors

    @Test func `a thrown error without a status is counted as 500 with the error's type`() throws {
        recording.begin().finish(.failed(OutOfStock()))
        try recording.expectOne("500", error: "OutOfStock")
    }

    @Test func `a thrown error keeps the status set before it`() throws {
        let token = recording.begin()
        token.setStatus(502)
        token.finish(.failed(OutOfStock()))
        try recording.expectOne("502", error: "OutOfStock")
    }

    @Test func `a thrown error with a status below 500 is not an error`() throws {
        let token = recording.begin()
        token.setStatus(404)
        token.finish(.failed(OutOfStock()))
        try recording.expectOne("404")
        #expect(try recording.total(Recording.aborted) == 0)
    }

    @Test func `an error after the head keeps the status, has its type, and counts as aborted`()
        throws
    {
        let token = recording.begin()
        token.recordHead(status: 200)
        token.finish(.failed(OutOfStock()))
        try recording.expectOne("200", error: "OutOfStock")
        try recording.registry.expect(Recording.aborted, ["http_route": "/orders/{id}"], 1)
    }

    @Test(arguments: [false, true])
    func `a response that could not be sent has no status and is not aborted`(
        isNoted: Bool
    ) throws {
        let token = recording.begin()
        token.setStatus(200)
        if isNoted { token.recordHead(status: 200) }
        token.finishUnsent(OutOfStock())
        try recording.expectOne("", error: "OutOfStock")
        #expect(try recording.total(Recording.aborted) == 0)
    }

    @Test func `only the errors of a lost connection count as a disconnection`() {
        let ends = [ECONNRESET, EPIPE, ECONNABORTED, ENOTCONN, ETIMEDOUT]
        #expect(ends.allSatisfy { Disconnection.isMeant(byErrno: $0) })
        let others = [ECONNREFUSED, EMFILE, ENOSPC, EIO, EINVAL, 0]
        #expect(others.allSatisfy { !Disconnection.isMeant(byErrno: $0) })
        #expect(!Disconnection.isMeant(byNameOf: OutOfStock()))
    }

    // MARK: - Clients that disconnect

    @Test func `a client that disconnects before the response head is counted as 499`() throws {
        let token = recording.begin()
        token.setStatus(200)
        token.finish(.clientDisconnected)
        try recording.expectOne("499", error: "client_disconnect")
        #expect(try recording.total(Recording.aborted) == 0)
    }

    @Test func `a client that disconnects after the head keeps the status and counts as aborted`()
        throws
    {
        let token = recording.begin()
        token.recordHead(status: 206)
        token.finish(.clientDisconnected)
        try recording.expectOne("206", error: "client_disconnect")
        try recording.registry.expect(Recording.aborted, ["http_route": "/orders/{id}"], 1)
    }

    @Test func `after the head, the recorded status is the one that was sent`() throws {
        let token = recording.begin()
        token.recordHead(status: 200)
        token.setStatus(500)
        token.finish(.failed(OutOfStock()))
        try recording.expectOne("200", error: "OutOfStock")
    }

    @Test(arguments: [100, 102, 103, 199])
    func `an interim response is not the head`(status: Int) throws {
        let token = recording.begin()
        token.recordHead(status: status)
        token.recordHead(status: 204)
        token.finish()
        try recording.expectOne("204")
    }

    @Test func `a client that disconnects after an interim response is counted as 499`() throws {
        let token = recording.begin()
        token.recordHead(status: 103)
        token.finish(.clientDisconnected)
        try recording.expectOne("499", error: "client_disconnect")
    }

    @Test func `a second head has no effect`() throws {
        let token = recording.begin()
        token.recordHead(status: 200)
        token.recordHead(status: 503)
        token.finish()
        try recording.expectOne("200")
    }

    // MARK: - Tokens that are dropped

    @Test func `a token dropped before the head is counted once, as 499 and abandoned`() throws {
        do {
            let token = recording.begin()
            token.setStatus(200)
            #expect(try recording.inFlight() == 1)
        }
        try recording.expectOne("499", error: "abandoned")
        #expect(try recording.total(Recording.aborted) == 0)
    }

    @Test func `a token dropped after the head keeps its status and counts as aborted`() throws {
        recording.begin().recordHead(status: 200)
        try recording.expectOne("200", error: "abandoned")
        try recording.registry.expect(Recording.aborted, ["http_route": "/orders/{id}"], 1)
    }

    @Test func `a token may outlive its recorder`() throws {
        let registry = recording.registry
        func begun() -> RequestToken {
            HTTPRequestRecorder(registry: registry).begin(method: "GET")
        }
        do {
            let token = begun()
            token.setRoute(template: "/orders/{id}")
        }
        try recording.expectOne("499", error: "abandoned")
    }

    // MARK: - Exactly once

    @Test func `only the first end of a request counts`() throws {
        let token = recording.begin()
        token.setStatus(201)
        token.finish()
        token.setStatus(500)
        token.finish(.failed(OutOfStock()))
        token.finish(.clientDisconnected)
        try recording.expectOne("201")
        #expect(try recording.total(Recording.aborted) == 0)
    }

    @Test func `calls after the end have no effect`() throws {
        let token = recording.begin()
        token.finish()
        token.setRoute(template: "/late")
        token.recordHead(status: 500)
        token.addRequestBytes(1)
        token.addResponseBytes(1)
        token.captureTrace()
        try recording.expectOne("200")
    }

    @Test func `a request is in the active gauge until it ends`() throws {
        let labels = ["http_request_method": "GET", "url_scheme": "http"]
        let one = recording.begin()
        let other = recording.begin()
        try recording.registry.expect(Recording.active, labels, 2)
        one.finish()
        one.finish()
        try recording.registry.expect(Recording.active, labels, 1)
        other.finish(.failed(OutOfStock()))
        try recording.registry.expect(Recording.active, labels, 0)
    }

    // MARK: - Time

    @Test func `a streamed response is timed to its last byte`() throws {
        let token = recording.begin()
        recording.clock.advance(by: .milliseconds(250))
        token.recordHead(status: 200)
        recording.clock.advance(by: .milliseconds(1_750))
        token.finish()
        let labels = Recording.labels("200")
        try recording.registry.expect("\(Recording.durations)_sum", labels, 2)
    }

    @Test func `a response that takes no time counts as zero seconds`() throws {
        recording.begin().finish()
        try recording.registry.expect("\(Recording.durations)_sum", Recording.labels("200"), 0)
    }

    // MARK: - Protocol errors

    @Test func `a protocol error is counted under its reason`() throws {
        for reason in HTTPRequestRecorder.ProtocolError.allCases {
            recording.recorder.recordProtocolError(reason)
            recording.recorder.recordProtocolError(reason)
            let labels = ["reason": reason.rawValue]
            try recording.registry.expect("http_server_protocol_errors_total", labels, 2)
        }
        #expect(try recording.counted() == 0)
    }
}
