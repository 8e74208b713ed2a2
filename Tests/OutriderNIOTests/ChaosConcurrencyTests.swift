// SPDX-License-Identifier: Apache-2.0
// Tests with a few hundred connections of misbehaving clients: every request is counted exactly
// once, and none stays in flight.

#if NIO
    import OutriderHTTP
    import Synchronization
    import TestSupport
    import Testing

    @Suite struct NIOChaosConcurrencyTests {
        private static let requests =
            ["/ok", "/404", "/500", "/close", "/half", "/continue", "/matched"].map {
                request($0)
            } + [
                request("/ok", method: "HEAD"), request("/ok", method: "PROPFIND"),
                request("/ok", method: "POST", fields: "Content-Length: 5\r\n") + "hello",
                request("/ok", method: "POST", fields: "Transfer-Encoding: chunked\r\n")
                    + "5\r\nhello\r\n0\r\n\r\n",
            ]

        @Test(arguments: Pipeline.allCases)
        func `misbehaving clients leave no request in flight and none uncounted`(
            pipeline: Pipeline
        ) async throws {
            let service = Service { $0.recordsBodySizes = true }
            try await service.serve(pipeline) { address in
                #expect(HostileClient.crowd(address, Self.requests, connections: 100))
            }
            // The server may still be reading input that clients sent before they left. A request
            // that is lost or counted twice would never settle.
            let heads = { service.heads.value.load(ordering: .relaxed) }
            let isSettled = try await holdsEventually {
                service.active == 0 && service.total == Double(heads())
            }
            #expect(isSettled, "\(heads()) heads, \(service.total) requests")
            #expect(heads() > 100)
        }
    }
#endif
