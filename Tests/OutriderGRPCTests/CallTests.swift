// SPDX-License-Identifier: Apache-2.0
// Calls as servers and clients record them, over HTTP/2 on loopback.

#if GRPC
    import GRPCCore
    import OutriderEndpoint
    import OutriderGRPC
    import TestSupport
    import Testing

    @Suite struct CallTests {
        @Test(
            "by method and status, each once, with the server's own faults told from the client's")
        func byStatus() async throws {
            let restaurant = Restaurant()
            try await restaurant.open { client in
                for _ in 0..<5 {
                    let meals = try await client.call("Cook", [[1], [2]])
                    #expect(meals == [[1], [2]])
                }
                for method in ["Refuse", "SellOut", "Burn", "Spill", "Missing"] {
                    await #expect(throws: RPCError.self) { try await client.call(method) }
                }
            }
            #expect(try await restaurant.isQuiet())

            #expect(restaurant.served("Cook", "OK") == 5)
            #expect(restaurant.served("Refuse", "NOT_FOUND") == 1)
            #expect(restaurant.served("SellOut", "RESOURCE_EXHAUSTED") == 1)
            #expect(restaurant.served("Burn", "UNKNOWN", error: "UNKNOWN") == 1)
            #expect(restaurant.served("Spill", "INTERNAL", error: "INTERNAL") == 1)

            #expect(restaurant.made("Cook", "OK") == 5)
            for (method, status) in [
                ("Refuse", "NOT_FOUND"), ("SellOut", "RESOURCE_EXHAUSTED"), ("Burn", "UNKNOWN"),
                ("Spill", "INTERNAL"), ("Missing", "UNIMPLEMENTED"),
            ] {
                #expect(restaurant.made(method, status, error: status) == 1, "\(method)")
            }
            // What no service has never reaches an interceptor of the server.
            #expect(restaurant.totals == [9, 10])
        }

        @Test func `a deadline that passes ends a call of a client`() async throws {
            let restaurant = Restaurant(clock: HurriedClock())
            try await restaurant.open { client in
                try await client.call("Cook")
                let error = await #expect(throws: RPCError.self) {
                    try await client.call("Wait", timeout: .milliseconds(300))
                }
                #expect(error?.code == .deadlineExceeded)
                let isQuiet = try await restaurant.isQuiet()
                #expect(isQuiet)
            }
            let status = "DEADLINE_EXCEEDED"
            #expect(restaurant.made("Wait", status, error: status) == 1)
            #expect(restaurant.made("Cook", "OK") == 1)
            // A slow server may not have begun when its client gave up.
            #expect([1, 2].contains(restaurant.totals[0]))
            #expect(restaurant.totals[1] == 2)
        }

        @Test func `a deadline that passes at the server is one, though its handler was cancelled`()
            async throws
        {
            let restaurant = Restaurant(clock: HurriedClock())
            try await restaurant.open { client in
                // The client tells of a deadline that it does not keep itself.
                await #expect(throws: RPCError.self) {
                    try await client.call("Wait", metadata: ["grpc-timeout": "500m"])
                }
                let isQuiet = try await restaurant.isQuiet()
                #expect(isQuiet)
            }
            let status = "DEADLINE_EXCEEDED"
            #expect(restaurant.served("Wait", status, error: status) == 1)
            #expect(restaurant.totals == [1, 1])
        }

        @Test func `a call that its caller gives up is cancelled, which is no fault of the server`()
            async throws
        {
            let restaurant = Restaurant()
            try await restaurant.open { client in
                let call = Task { try await client.call("Wait", timeout: .seconds(100)) }
                await restaurant.waits.wait()
                call.cancel()
                await #expect(throws: (any Error).self) { try await call.value }
                let isQuiet = try await restaurant.isQuiet()
                #expect(isQuiet)
            }
            #expect(restaurant.served("Wait", "CANCELLED") == 1)
            #expect(restaurant.made("Wait", "CANCELLED", error: "CANCELLED") == 1)
            #expect(restaurant.totals == [1, 1])
        }

        @Test func `a handler that fails because its caller has left is not a fault of the server`()
            async throws
        {
            let restaurant = Restaurant()
            try await restaurant.open { client in
                let call = Task { try await client.call("Stumble") }
                await restaurant.waits.wait()
                call.cancel()
                await #expect(throws: (any Error).self) { try await call.value }
                let isQuiet = try await restaurant.isQuiet()
                #expect(isQuiet)
            }
            #expect(restaurant.served("Stumble", "CANCELLED") == 1)
            #expect(restaurant.totals == [1, 1])
        }

        @Test(arguments: [false, true])
        func `a client whose connection closes or is reset has cancelled its calls`(
            isAbrupt: Bool
        ) async throws {
            let restaurant = Restaurant()
            try await restaurant.serve { port in
                let connection = try await onOwnThread {
                    try HeldConnection(.loopback(port: UInt16(port)), isAbrupt: isAbrupt) {
                        try $0.send(bytes: HTTP2Bytes.call("/test.Kitchen/Listen"))
                    }
                }
                await restaurant.waits.wait()
                connection.close()
                let isQuiet = try await restaurant.isQuiet()
                #expect(isQuiet)
            }
            #expect(restaurant.served("Listen", "CANCELLED") == 1)
            #expect(restaurant.totals == [1, 0])
        }

        @Test func `interceptors that are there twice count each call once, and warn once`()
            async throws
        {
            let restaurant = Restaurant(copies: 3)
            try await restaurant.open { client in
                for _ in 0..<2 { try await client.call("Cook", [[1]]) }
                await #expect(throws: RPCError.self) { try await client.call("Refuse") }
                let isQuiet = try await restaurant.isQuiet()
                #expect(isQuiet)
            }
            #expect(restaurant.served("Cook", "OK") == 2)
            #expect(restaurant.made("Cook", "OK") == 2)
            #expect(restaurant.totals == [3, 3])
            #expect(restaurant.log.messages.count == 2)
        }

        @Test func `an IPv6 address of a server has no brackets`() async throws {
            let restaurant = Restaurant(address: "[::1]")
            try await restaurant.open { client in try await client.call("Cook") }
            #expect(restaurant.made("Cook", "OK") == 1)
        }

        @Test func `a stream is one call, also if its reader leaves in the middle`() async throws {
            let restaurant = Restaurant()
            try await restaurant.open { client in
                let drops = try await client.call("Drip", stoppingAfter: 3)
                #expect(drops.count == 3)
                let isQuiet = try await restaurant.isQuiet()
                #expect(isQuiet)
            }
            #expect(restaurant.made("Drip", "CANCELLED", error: "CANCELLED") == 1)
            #expect(restaurant.totals == [1, 1])
        }

        @Test func `a call that finds no server is recorded, and has its wait in its time`()
            async throws
        {
            let restaurant = Restaurant(clock: HurriedClock())
            // Port 1 of loopback has no server.
            try await restaurant.visit(port: 1) { client in
                await #expect(throws: RPCError.self) {
                    try await client.call("Cook", timeout: .seconds(1))
                }
            }
            #expect(try await restaurant.isQuiet())
            let made = ["UNAVAILABLE", "DEADLINE_EXCEEDED"].compactMap {
                restaurant.made("Cook", $0, error: $0)
            }
            #expect(made == [1])
            #expect(restaurant.totals == [0, 1])
            #expect(restaurant.seconds >= 3_600)
        }

        @Test func `many calls at once are all counted`() async throws {
            let restaurant = Restaurant()
            try await restaurant.open { client in
                try await withThrowingTaskGroup { group in
                    for number in 0..<200 {
                        group.addTask {
                            if number.isMultiple(of: 4) {
                                await #expect(throws: RPCError.self) {
                                    try await client.call("Refuse")
                                }
                            } else {
                                try await client.call("Cook", [[1]])
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            #expect(try await restaurant.isQuiet())
            #expect(restaurant.served("Cook", "OK") == 150)
            #expect(restaurant.made("Refuse", "NOT_FOUND", error: "NOT_FOUND") == 50)
            #expect(restaurant.totals == [200, 200])
        }

        @Test func `what calls expose is what the list says`() async throws {
            let restaurant = Restaurant()
            try await restaurant.open { client in
                await #expect(throws: RPCError.self) { try await client.call("Burn") }
            }
            let exposed =
                try MetricsList.exposed(by: restaurant.server, prefix: "rpc_")
                + MetricsList.exposed(by: restaurant.client, prefix: "rpc_")
            #expect(Set(exposed) == Set(MetricsList.rows(prefix: "rpc_")))
            #expect(exposed.count == 4)
        }

        @Test(
            arguments: [
                ("1H", Duration.seconds(3_600)), ("2M", .seconds(120)), ("3S", .seconds(3)),
                ("4m", .milliseconds(4)), ("5u", .microseconds(5)), ("6n", .nanoseconds(6)),
                ("99999999H", .seconds(359_999_996_400)), ("", nil), ("S", nil), ("1", nil),
                ("1x", nil), ("-1S", nil), ("+1S", nil), ("123456789S", nil), ("1 S", nil),
            ] as [(String, Duration?)])
        func `a timeout is read as the protocol writes it`(text: String, duration: Duration?) {
            #expect(Metadata.timeout(text) == duration)
            let metadata: Metadata = ["grpc-timeout": .string(text)]
            #expect(metadata.callTimeout == duration)
        }
    }
#endif
