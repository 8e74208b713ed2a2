// SPDX-License-Identifier: Apache-2.0
// A real gRPC server over HTTP/2 on a free port, and clients of it, shared by these tests.

#if GRPC
    import GRPCCore
    import GRPCNIOTransportHTTP2
    import OutriderGRPC
    import OutriderMetrics
    import OutriderTesting
    import TestSupport

    /// An error without a gRPC status.
    struct Smoke: Error {}

    /// An error with a gRPC status.
    struct SoldOut: Error, RPCErrorConvertible {
        var rpcErrorCode: RPCError.Code { .resourceExhausted }
        var rpcErrorMessage: String { "sold out" }
    }

    /// Serializes messages of raw bytes.
    struct Bytes: MessageSerializer, MessageDeserializer {
        func serialize<Wire: GRPCContiguousBytes>(_ message: [UInt8]) -> Wire { Wire(message) }

        func deserialize<Wire: GRPCContiguousBytes>(_ bytes: Wire) -> [UInt8] {
            unsafe bytes.withUnsafeBytes { unsafe Array($0) }
        }
    }

    typealias Answer = StreamingServerResponse<[UInt8]>

    /// A service with a method for each outcome of a call.
    struct GRPCTestService: RegistrableRPCService {
        static func method(_ name: String) -> MethodDescriptor {
            MethodDescriptor(fullyQualifiedService: "test.Kitchen", method: name)
        }

        /// Opened when `Wait` has started.
        let waits: Gate

        func registerMethods<Transport: ServerTransport>(with router: inout RPCRouter<Transport>) {
            add("Cook", to: &router) { request, _ in
                var meals: [[UInt8]] = []
                for try await order in request.messages { meals.append(order) }
                return Answer { [meals] writer in
                    for meal in meals { try await writer.write(meal) }
                    return [:]
                }
            }
            add("Refuse", to: &router) { _, _ in
                throw RPCError(code: .notFound, message: "not on the menu")
            }
            add("SellOut", to: &router) { _, _ in throw SoldOut() }
            add("Burn", to: &router) { _, _ in throw Smoke() }
            add("Spill", to: &router) { _, _ in
                Answer { writer in
                    try await writer.write([1])
                    throw RPCError(code: .internalError, message: "spilled")
                }
            }
            add("Wait", to: &router) { _, context in
                waits.open()
                try await context.cancellation.cancelled
                throw CancellationError()
            }
            add("Stumble", to: &router) { _, context in
                waits.open()
                try? await context.cancellation.cancelled
                throw Smoke()
            }
            add("Listen", to: &router) { request, _ in
                waits.open()
                for try await _ in request.messages {}
                return Answer { _ in [:] }
            }
            add("Drip", to: &router) { _, context in
                Answer { writer in
                    for _ in 0..<3 { try await writer.write([1]) }
                    // The stream stays open until its reader stops.
                    try await context.cancellation.cancelled
                    throw CancellationError()
                }
            }
        }

        private func add<Transport: ServerTransport>(
            _ name: String, to router: inout RPCRouter<Transport>,
            _ handler:
                @escaping @Sendable (StreamingServerRequest<[UInt8]>, ServerContext)
                async throws -> Answer
        ) {
            router.registerHandler(
                forMethod: Self.method(name), deserializer: Bytes(), serializer: Bytes(),
                handler: handler)
        }
    }

    typealias Client = GRPCClient<RecordedTransport<HTTP2ClientTransport.Posix>>

    /// A clock that advances an hour at each reading, so that everything timed with it is late.
    ///
    /// gRPC enforces deadlines with the system's clock. How long after the deadline, and after the
    /// recorder's start, a call is cancelled depends on the machine.
    struct HurriedClock: MetricClock {
        private let clock = ManualClock()

        var uptime: Duration {
            clock.advance(by: .seconds(3_600))
            return clock.uptime
        }

        var secondsSinceEpoch: Double { clock.secondsSinceEpoch }
    }

    /// A server and a client with separate registries.
    struct GRPCTestBed: Sendable {
        let server: Registry
        let client: Registry
        let waits = Gate()
        let log = RecordedMessages()
        private let copies: Int
        private let address: String

        /// Creates a test bed without starting its server.
        ///
        /// - Parameters:
        ///   - clock: The clock of both registries.
        ///   - copies: The number of copies of each interceptor.
        ///   - address: The client's name for the server.
        init(
            clock: any MetricClock = SystemMetricClock(), copies: Int = 1,
            address: String = "kitchen"
        ) {
            server = Registry(log: log.log, clock: clock)
            client = Registry(log: log.log, clock: clock)
            self.copies = copies
            self.address = address
        }

        /// Serves while `body` runs, with a client of the server.
        func open(_ body: @Sendable (Client) async throws -> Void) async throws {
            try await serve { try await visit(port: $0, body) }
        }

        /// Serves while `body` runs, which gets the port.
        func serve(_ body: @Sendable (Int) async throws -> Void) async throws {
            try await withGRPCServer(
                transport: .http2NIOPosix(
                    address: .ipv4(host: "127.0.0.1", port: 0), transportSecurity: .plaintext),
                services: [GRPCTestService(waits: waits)],
                interceptors: (0..<copies).map { _ in OutriderServerInterceptor(registry: server) }
            ) { running in
                let address = try await running.listeningAddress
                try await body(address?.ipv4?.port ?? 0)
            }
        }

        /// Runs `body` with a client of this port, where no server need listen.
        func visit(port: Int, _ body: @Sendable (Client) async throws -> Void) async throws {
            let all = (0..<copies).map { _ in
                OutriderClientInterceptor(address, port: 50_051, registry: client)
            }
            let transport = try HTTP2ClientTransport.Posix(
                target: .ipv4(address: "127.0.0.1", port: port), transportSecurity: .plaintext)
            try await withGRPCClient(
                transport: all[0].recording(transport), interceptors: all, handleClient: body)
        }

        /// The number of calls that the server recorded.
        func served(_ method: String, _ status: String, error: String = "") -> Double? {
            server.value(
                "rpc_server_call_duration_seconds_count", labels(method, status, error: error))
        }

        /// The number of calls that the client recorded.
        func made(_ method: String, _ status: String, error: String = "") -> Double? {
            var labels = labels(method, status, error: error)
            labels["server_address"] = address.filter { !"[]".contains($0) }
            labels["server_port"] = "50051"
            return client.value("rpc_client_call_duration_seconds_count", labels)
        }

        private func labels(_ method: String, _ status: String, error: String) -> [String: String] {
            [
                "rpc_system_name": "grpc", "rpc_method": "test.Kitchen/\(method)",
                "rpc_response_status_code": status, "error_type": error,
            ]
        }

        /// Waits until no call is active; returns whether that happened.
        func isQuiet() async throws -> Bool {
            try await holdsEventually {
                sum(server, "rpc_server_active_calls") + sum(client, "rpc_client_active_calls") == 0
            }
        }

        /// The numbers of all calls recorded by the server and by the client.
        var totals: [Double] {
            [
                sum(server, "rpc_server_call_duration_seconds_count"),
                sum(client, "rpc_client_call_duration_seconds_count"),
            ]
        }

        /// The total duration of all calls of the client.
        var seconds: Double { sum(client, "rpc_client_call_duration_seconds_sum") }

        private func sum(_ registry: Registry, _ name: String) -> Double {
            let families = (try? registry.exposition(names: [name]).families) ?? []
            return families.flatMap(\.samples).filter { $0.name == name }.reduce(0) {
                $0 + $1.value
            }
        }
    }

    extension Client {
        /// Calls a method with some messages; returns the messages of the response.
        @discardableResult
        func call(
            _ method: String, _ messages: [[UInt8]] = [], timeout: Duration? = nil,
            metadata: Metadata = [:], stoppingAfter limit: Int = .max
        ) async throws -> [[UInt8]] {
            var options = CallOptions.defaults
            options.timeout = timeout
            return try await bidirectionalStreaming(
                request: StreamingClientRequest(metadata: metadata) {
                    try await $0.write(contentsOf: messages)
                },
                descriptor: GRPCTestService.method(method), serializer: Bytes(),
                deserializer: Bytes(), options: options
            ) { response in
                var answers: [[UInt8]] = []
                for try await message in response.messages {
                    answers.append(message)
                    if answers.count == limit { break }
                }
                return answers
            }
        }
    }
#endif
