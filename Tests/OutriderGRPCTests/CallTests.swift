// SPDX-License-Identifier: Apache-2.0
// Tests of calls as recorded by servers and clients, over HTTP/2 on loopback.

#if GRPC
    import GRPCCore
    import OutriderEndpoint
    import OutriderGRPC
    import TestSupport
    import Testing

    @Suite struct CallTests {
        @Test(
            "each call is counted once by method and status; only server faults are server errors")
        func byStatus() async throws {
            let testBed = GRPCTestBed()
            try await testBed.open { client in
                for _ in 0..<5 {
                    let meals = try await client.call("Cook", [[1], [2]])
                    #expect(meals == [[1], [2]])
                }
                for method in ["Refuse", "SellOut", "Burn", "Spill", "Missing"] {
                    await #expect(throws: RPCError.self) { try await client.call(method) }
                }
            }
            #expect(try await testBed.isQuiet())

            #expect(testBed.served("Cook", "OK") == 5)
            #expect(testBed.served("Refuse", "NOT_FOUND") == 1)
            #expect(testBed.served("SellOut", "RESOURCE_EXHAUSTED") == 1)
            #expect(testBed.served("Burn", "UNKNOWN", error: "UNKNOWN") == 1)
            #expect(testBed.served("Spill", "INTERNAL", error: "INTERNAL") == 1)

            #expect(testBed.made("Cook", "OK") == 5)
            for (method, status) in [
                ("Refuse", "NOT_FOUND"), ("SellOut", "RESOURCE_EXHAUSTED"), ("Burn", "UNKNOWN"),
                ("Spill", "INTERNAL"), ("Missing", "UNIMPLEMENTED"),
            ] {
                #expect(testBed.made(method, status, error: status) == 1, "\(method)")
            }
            // A method without a service never reaches the server's interceptors.
            #expect(testBed.totals == [9, 10])
        }

        @Test func `a deadline that passes ends a client's call`() async throws {
            let testBed = GRPCTestBed(clock: HurriedClock())
            try await testBed.open { client in
                try await client.call("Cook")
                let error = await #expect(throws: RPCError.self) {
                    try await client.call("Wait", timeout: .milliseconds(300))
                }
                #expect(error?.code == .deadlineExceeded)
                let isQuiet = try await testBed.isQuiet()
                #expect(isQuiet)
            }
            let status = "DEADLINE_EXCEEDED"
            #expect(testBed.made("Wait", status, error: status) == 1)
            #expect(testBed.made("Cook", "OK") == 1)
            // A slow server may not have started when its client gave up.
            #expect([1, 2].contains(testBed.totals[0]))
            #expect(testBed.totals[1] == 2)
        }

        @Test func `a deadline that passes at the server is recorded even if it ends the handler`()
            async throws
        {
            let testBed = GRPCTestBed(clock: HurriedClock())
            try await testBed.open { client in
                // The client sends a deadline that it does not enforce itself.
                await #expect(throws: RPCError.self) {
                    try await client.call("Wait", metadata: ["grpc-timeout": "500m"])
                }
                let isQuiet = try await testBed.isQuiet()
                #expect(isQuiet)
            }
            let status = "DEADLINE_EXCEEDED"
            #expect(testBed.served("Wait", status, error: status) == 1)
            #expect(testBed.totals == [1, 1])
        }

        @Test func `a call that its caller cancels is not a server error`() async throws {
            let testBed = GRPCTestBed()
            try await testBed.open { client in
                let call = Task { try await client.call("Wait", timeout: .seconds(100)) }
                await testBed.waits.wait()
                call.cancel()
                await #expect(throws: (any Error).self) { try await call.value }
                let isQuiet = try await testBed.isQuiet()
                #expect(isQuiet)
            }
            #expect(testBed.served("Wait", "CANCELLED") == 1)
            #expect(testBed.made("Wait", "CANCELLED", error: "CANCELLED") == 1)
            #expect(testBed.totals == [1, 1])
        }

        @Test func `a handler that fails because its caller disconnected is not a server error`()
            async throws
        {
            let testBed = GRPCTestBed()
            try await testBed.open { client in
                let call = Task { try await client.call("Stumble") }
                await testBed.waits.wait()
                call.cancel()
                await #expect(throws: (any Error).self) { try await call.value }
                let isQuiet = try await testBed.isQuiet()
                #expect(isQuiet)
            }
            #expect(testBed.served("Stumble", "CANCELLED") == 1)
            #expect(testBed.totals == [1, 1])
        }

        @Test(arguments: [false, true])
        func `a client whose connection is closed or reset has cancelled its calls`(
            isAbrupt: Bool
        ) async throws {
            let testBed = GRPCTestBed()
            try await testBed.serve { port in
                let connection = try await onOwnThread {
                    try HeldConnection(.loopback(port: UInt16(port)), isAbrupt: isAbrupt) {
                        try $0.send(bytes: HTTP2Bytes.call("/test.Kitchen/Listen"))
                    }
                }
                await testBed.waits.wait()
                connection.close()
                let isQuiet = try await testBed.isQuiet()
                #expect(isQuiet)
            }
            #expect(testBed.served("Listen", "CANCELLED") == 1)
            #expect(testBed.totals == [1, 0])
        }

        @Test func `duplicate interceptors count each call once and warn once`() async throws {
            let testBed = GRPCTestBed(copies: 3)
            try await testBed.open { client in
                for _ in 0..<2 { try await client.call("Cook", [[1]]) }
                await #expect(throws: RPCError.self) { try await client.call("Refuse") }
                let isQuiet = try await testBed.isQuiet()
                #expect(isQuiet)
            }
            #expect(testBed.served("Cook", "OK") == 2)
            #expect(testBed.made("Cook", "OK") == 2)
            #expect(testBed.totals == [3, 3])
            #expect(testBed.log.messages.count == 2)
        }

        @Test func `a server's IPv6 address has no brackets`() async throws {
            let testBed = GRPCTestBed(address: "[::1]")
            try await testBed.open { client in try await client.call("Cook") }
            #expect(testBed.made("Cook", "OK") == 1)
        }

        @Test func `a stream is one call, even if its reader stops in the middle`() async throws {
            let testBed = GRPCTestBed()
            try await testBed.open { client in
                let drops = try await client.call("Drip", stoppingAfter: 3)
                #expect(drops.count == 3)
                let isQuiet = try await testBed.isQuiet()
                #expect(isQuiet)
            }
            #expect(testBed.made("Drip", "CANCELLED", error: "CANCELLED") == 1)
            #expect(testBed.totals == [1, 1])
        }

        @Test func `a call that reaches no server is recorded, including its wait`() async throws {
            let testBed = GRPCTestBed(clock: HurriedClock())
            // No server listens on port 1 of loopback.
            try await testBed.visit(port: 1) { client in
                await #expect(throws: RPCError.self) {
                    try await client.call("Cook", timeout: .seconds(1))
                }
            }
            #expect(try await testBed.isQuiet())
            let made = ["UNAVAILABLE", "DEADLINE_EXCEEDED"].compactMap {
                testBed.made("Cook", $0, error: $0)
            }
            #expect(made == [1])
            #expect(testBed.totals == [0, 1])
            #expect(testBed.seconds >= 3_600)
        }

        @Test func `concurrent calls are all counted`() async throws {
            let testBed = GRPCTestBed()
            try await testBed.open { client in
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
            #expect(try await testBed.isQuiet())
            #expect(testBed.served("Cook", "OK") == 150)
            #expect(testBed.made("Refuse", "NOT_FOUND", error: "NOT_FOUND") == 50)
            #expect(testBed.totals == [200, 200])
        }

        @Test func `the exposed metrics of calls match the documented list`() async throws {
            let testBed = GRPCTestBed()
            try await testBed.open { client in
                await #expect(throws: RPCError.self) { try await client.call("Burn") }
            }
            let exposed =
                try MetricsList.exposed(by: testBed.server, prefix: "rpc_")
                + MetricsList.exposed(by: testBed.client, prefix: "rpc_")
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
        func `a timeout is parsed as the protocol specifies`(text: String, duration: Duration?) {
            #expect(Metadata.timeout(text) == duration)
            let metadata: Metadata = ["grpc-timeout": .string(text)]
            #expect(metadata.callTimeout == duration)
        }
    }
#endif
