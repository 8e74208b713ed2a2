// SPDX-License-Identifier: Apache-2.0
// Tests of AsyncHTTPClient's requests and connections against a real server.

#if AsyncHTTPClient
    import AsyncHTTPClient
    import NIOCore
    import NIOHTTP1
    import OutriderAsyncHTTPClient
    import OutriderTesting
    import TestSupport
    import Testing

    @Suite struct RequestTests {
        @Test func `each request is recorded once, with its status or its error`() async throws {
            try await Shop.open { shop in
                for (path, text) in [
                    ("/stock?id=7", "42"), ("/stock", "42"), ("/stock", "42"), ("/missing", "none"),
                    ("/moved", "42"),
                ] {
                    let answer = try await shop.get(path)
                    #expect(answer == text)
                }
                for path in ["/closed", "/half"] {
                    await #expect(throws: (any Error).self) { try await shop.get(path) }
                }
                await #expect(throws: HTTPClientError.deadlineExceeded) {
                    try await shop.get("/silent", timeout: .milliseconds(200))
                }

                // A redirect is part of the request that encountered it.
                #expect(shop.count(200) == 4)
                #expect(shop.count(404, error: "404") == 1)
                #expect(shop.count(nil, error: "remoteConnectionClosed") == 1)
                #expect(shop.count(200, error: "remoteConnectionClosed") == 1)
                #expect(shop.count(nil, error: "deadlineExceeded") == 1)
                #expect(shop.total == 8)
            }
        }

        @Test func `a server that resets the connection is counted like one that closes it`()
            async throws
        {
            try await Shop.open { shop in
                await #expect(throws: (any Error).self) { try await shop.get("/reset") }
                await #expect(throws: (any Error).self) {
                    try await shop.client.execute(
                        shop.request("/half-reset"), timeout: .seconds(120),
                        recorder: shop.recorder
                    ) {
                        // The head has arrived; the reset follows.
                        shop.release.succeed()
                        return try await $0.body.collect(upTo: 1_024)
                    }
                }
                #expect(shop.count(nil, error: "remoteConnectionClosed") == 1)
                #expect(shop.count(200, error: "remoteConnectionClosed") == 1)
                #expect(shop.total == 2)
            }
        }

        @Test func `whatever a cancelled request throws, it is counted as cancelled`() async throws
        {
            struct TooLate: Error {}
            try await Shop.open { shop in
                let held = Task {
                    try await shop.client.execute(
                        shop.request("/stock"), timeout: .seconds(120), recorder: shop.recorder
                    ) { _ in
                        await Gate().wait()
                        throw TooLate()
                    }
                }
                held.cancel()
                await #expect(throws: (any Error).self) { try await held.value }
                let counts = [
                    shop.count(nil, error: "cancelled"), shop.count(200, error: "cancelled"),
                ]
                #expect(counts.compactMap { $0 } == [1])
                #expect(shop.total == 1)
            }
        }

        @Test func `connections that are recorded twice are counted once`() async throws {
            try await Shop.open(watchers: 3) { shop in
                try await shop.get("/stock")
                #expect(shop.connections("idle") == 1)
                #expect(shop.connections("active") == 0)
                try await shop.client.shutdown()
                let areGone = try await holdsEventually {
                    (shop.registry.value("http_client_connection_duration_seconds_count") ?? 0) > 0
                }
                #expect(areGone)
                #expect(shop.connections("idle") == 0)
                try shop.registry.expect("http_client_connection_duration_seconds_count", 1)
            }
        }

        @Test func `a request whose body is not read within the call is recorded with its head`()
            async throws
        {
            try await Shop.open { shop in
                let answer = try await shop.client.execute(
                    shop.request("/half"), timeout: .seconds(120), recorder: shop.recorder)
                #expect(shop.count(200) == 1)
                await #expect(throws: HTTPParserError.self) {
                    try await answer.body.collect(upTo: 1_024)
                }
                #expect(shop.total == 1)
            }
        }

        @Test func `requests through the future-based API are recorded too`() async throws {
            try await Shop.open { shop in
                let good = try HTTPClient.Request(url: shop.request("/stock").url)
                let late = try HTTPClient.Request(url: shop.request("/silent").url)
                let answer = try await shop.client.execute(request: good, recorder: shop.recorder)
                    .get()
                #expect(answer.status == .ok)
                await #expect(throws: HTTPClientError.deadlineExceeded) {
                    try await shop.client.execute(
                        request: late, deadline: .now() + .milliseconds(200),
                        recorder: shop.recorder
                    ).get()
                }
                #expect(shop.count(200) == 1)
                #expect(shop.count(nil, error: "deadlineExceeded") == 1)
                #expect(shop.total == 2)
            }
        }

        @Test func `a refused connection and a cancelled request are recorded`() async throws {
            try await Shop.open { shop in
                // No server listens on port 1 of loopback.
                await #expect(throws: (any Error).self) {
                    _ = try await shop.client.execute(
                        HTTPClientRequest(url: "http://127.0.0.1:1/"), timeout: .seconds(1),
                        recorder: shop.recorder)
                }
                let held = Task { try await shop.get("/held") }
                await shop.arrived.wait()
                held.cancel()
                await #expect(throws: (any Error).self) { try await held.value }

                #expect(shop.count(nil, error: "cancelled") == 1)
                let refused = [
                    "connectTimeout", "deadlineExceeded", "NIOConnectionError", "IOError",
                ].compactMap { shop.count(nil, error: $0, port: 1) }
                #expect(refused == [1])
                #expect(shop.total == 2)
            }
        }

        @Test func `a connection is active until its response, then idle, then closed`()
            async throws
        {
            try await Shop.open { shop in
                async let held = shop.get("/held")
                await shop.arrived.wait()
                #expect(shop.connections("active") == 1)
                try await shop.get("/stock")
                #expect(shop.connections("active") == 1)
                #expect(shop.connections("idle") == 1)

                shop.release.succeed()
                let answer = try await held
                #expect(answer == "held")
                #expect(shop.connections("active") == 0)
                #expect(shop.connections("idle") == 2)

                await #expect(throws: HTTPClientError.self) { try await shop.get("/closed") }
                try await shop.client.shutdown()
                let areGone = try await holdsEventually {
                    shop.registry.value("http_client_connection_duration_seconds_count") == 2
                }
                #expect(areGone)
                #expect(shop.connections("active") == 0)
                #expect(shop.connections("idle") == 0)

                let exposed = try MetricsList.exposed(by: shop.registry, prefix: "http_client_")
                let listed = MetricsList.rows(prefix: "http_client_")
                // All labels are covered: statuses here, an error there.
                #expect(Set(exposed) == Set(listed))
                #expect(listed.count == 3)
            }
        }

        @Test(arguments: [
            ("http://Stock.internal:8080/a?b", "stock.internal", 8_080),
            ("https://stock.internal", "stock.internal", 443),
            ("http://stock.internal?x", "stock.internal", 80),
            ("https://user:word@stock.internal:444/", "stock.internal", 444),
            ("http://[::1]:9464/", "::1", 9_464), ("http://[::1]/", "::1", 80),
            ("http://[2001:DB8:0:0::1]:1/", "2001:db8::1", 1),
            ("http://[fe80::1%25eth0]:1/", "fe80::1", 1), ("http://[::1", "[", 80),
            ("http+unix://%2Ftmp%2Fshop.sock/path", "/tmp/shop.sock", 0),
            ("stock", "", 0), ("", "", 0), ("http://", "", 80), ("http://a:b/", "a", 80),
        ])
        func `a peer is the authority of the URL`(url: String, address: String, port: Int) {
            let peer = PeerAddress(url)
            #expect(peer.address == address)
            #expect(peer.port == port)
        }
    }
#endif
