// SPDX-License-Identifier: Apache-2.0
// The agent in a real ServiceGroup: who is told when, and who ends when.

#if ServiceLifecycle

    import Logging
    import Outrider
    import OutriderEndpoint
    import OutriderServiceLifecycle
    import ServiceLifecycle
    import Synchronization
    import TestSupport
    import Testing

    /// An agent that shares nothing with other tests: they use IPv4, so none of them listens where
    /// this one has.
    private func makeAgent(at address: ListenAddress? = nil) throws -> Agent {
        let log = DiagnosticLog { _, _ in }
        var configuration = Agent.Configuration(address: try address ?? ListenAddress("[::1]:0"))
        configuration.log = log
        configuration.registry = Registry(log: log)
        configuration.debugAddress = .nowhere
        return Agent.start(configuration)
    }

    /// Shut until it is opened; tasks wait for it, whether cancelled or not.
    private final class Gate: Sendable {
        private struct State {
            var isOpen = false
            var waiting: [CheckedContinuation<Void, Never>] = []
        }

        private let state = Mutex(State())

        var isOpen: Bool { state.withLock { $0.isOpen } }

        func open() {
            let waiting = state.withLock { state in
                state.isOpen = true
                defer { state.waiting = [] }
                return state.waiting
            }
            for continuation in waiting { continuation.resume() }
        }

        func wait() async {
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    if !state.isOpen { state.waiting.append(continuation) }
                    return state.isOpen
                }
                if isOpen { continuation.resume() }
            }
        }
    }

    /// A page that answers when it is let.
    private struct SlowPage: Page {
        let path = "/slow"
        let summary = "answers when it is let"
        let entered: Gate
        let mayAnswer: Gate

        func respond(to request: Request) -> Response {
            entered.open()
            let isTold = eventually(within: 300) { mayAnswer.isOpen }
            return .text(isTold ? "answered\n" : "too late\n")
        }
    }

    /// A web server with requests in flight, which it answers before it ends.
    private final class Server: Service {
        let endpoint: Endpoint
        let address: ListenAddress
        /// The group runs; before that it cannot be told to end.
        let started = Gate()
        let entered = Gate()
        let mayAnswer = Gate()
        let told = Gate()
        let ended = Gate()

        init() throws {
            let page = SlowPage(entered: entered, mayAnswer: mayAnswer)
            endpoint = try Endpoint(
                Endpoint.Configuration(address: .loopback(port: 0)), pages: [page])
            address = endpoint.address
        }

        func run() async throws {
            started.open()
            try? await gracefulShutdown()
            told.open()
            if entered.isOpen { await mayAnswer.wait() }
            let endpoint = endpoint
            try await onOwnThread { endpoint.stop() }
            ended.open()
        }
    }

    /// A service that fails when it is let.
    private struct Failing: Service {
        struct Failure: Error {}
        let mayFail: Gate

        func run() async throws {
            await mayFail.wait()
            throw Failure()
        }
    }

    private func group(_ services: [any Service]) -> ServiceGroup {
        ServiceGroup(
            services: services, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    private func readiness(_ address: ListenAddress) async throws -> Int {
        try await onOwnThread { try fetch("/readyz", from: address).status }
    }

    private func isListening(_ address: ListenAddress) async throws -> Bool {
        try await onOwnThread { (try? Connection(address)) != nil }
    }

    @Suite struct AgentServiceTests {
        @Test func `readyz fails first, then requests are answered, then the agent goes`()
            async throws
        {
            let agent = try makeAgent()
            let address = try #require(agent.address)
            let server = try Server()
            let group = group(agent.services(around: [server]))
            let running = Task { try await group.run() }

            let answer = Task { [address = server.address] in
                try await onOwnThread { try fetch("/slow", from: address).text }
            }
            await server.entered.wait()
            #expect(try await readiness(address) == 200)
            await group.triggerGracefulShutdown()
            await server.told.wait()
            // The server has a request in flight; the agent is there and says so.
            #expect(try await readiness(address) == 503)
            #expect(try await onOwnThread { try fetch("/metrics", from: address).status } == 200)
            server.mayAnswer.open()
            #expect(try await answer.value == "answered\n")
            try await running.value
            #expect(server.ended.isOpen)
            #expect(try await isListening(address) == false)
        }

        @Test func `no service is told before the delay is over`() async throws {
            let agent = try makeAgent()
            let server = try Server()
            let group = group(
                agent.services(around: [server], drainDelay: .milliseconds(200)))
            let running = Task { try await group.run() }
            await server.started.wait()
            let start = ContinuousClock.now
            await group.triggerGracefulShutdown()
            await server.told.wait()
            #expect(ContinuousClock.now - start >= .milliseconds(200))
            try await running.value
        }

        @Test func `during the delay readyz fails, and it ends when the group is cancelled`()
            async throws
        {
            let agent = try makeAgent()
            let address = try #require(agent.address)
            let server = try Server()
            let group = group(agent.services(around: [server], drainDelay: .seconds(3_600)))
            let running = Task { try await group.run() }
            await server.started.wait()
            await group.triggerGracefulShutdown()
            let isDraining = try await onOwnThread {
                try eventually { try fetch("/readyz", from: address).status == 503 }
            }
            #expect(isDraining)
            #expect(!server.told.isOpen)
            running.cancel()
            _ = await running.result
            #expect(server.ended.isOpen)
            #expect(try await isListening(address) == false)
        }

        @Test func `an agent whose task is cancelled stops`() async throws {
            let agent = try makeAgent()
            let address = try #require(agent.address)
            let running = Task { await agent.run() }
            running.cancel()
            await running.value
            #expect(try await isListening(address) == false)
            #expect(agent.address == nil)
        }

        @Test func `an agent that runs again after its stop ends with its task too`() async throws {
            let agent = try makeAgent()
            for _ in 0..<2 {
                let running = Task { await agent.run() }
                running.cancel()
                await running.value
            }
            #expect(agent.address == nil)
        }

        @Test func `an agent without its port ends no service`() async throws {
            let first = try makeAgent()
            let taken = try #require(first.address)
            let agent = try makeAgent(at: taken)
            #expect(agent.address == nil)
            let server = try Server()
            let group = group(agent.services(around: [server]))
            let running = Task { try await group.run() }
            let answer = Task { [address = server.address] in
                try await onOwnThread { try fetch("/slow", from: address).text }
            }
            await server.entered.wait()
            server.mayAnswer.open()
            #expect(try await answer.value == "answered\n")
            #expect(server.told.isOpen == false)
            await group.triggerGracefulShutdown()
            try await running.value
            try await onOwnThread { first.stop() }
        }

        @Test func `a service that fails takes the agent along`() async throws {
            let agent = try makeAgent()
            let address = try #require(agent.address)
            let failing = Failing(mayFail: Gate())
            let group = group(agent.services(around: [failing]))
            let running = Task { try await group.run() }
            #expect(try await readiness(address) == 200)
            failing.mayFail.open()
            await #expect(throws: Failing.Failure.self) { try await running.value }
            #expect(try await isListening(address) == false)
        }

        @Test func `a group that is told before it runs ends in order too`() async throws {
            let agent = try makeAgent()
            let address = try #require(agent.address)
            let server = try Server()
            let group = group(agent.services(around: [server]))
            await group.triggerGracefulShutdown()
            try await group.run()
            #expect(server.ended.isOpen)
            #expect(try await isListening(address) == false)
        }

        @Test func `agents that stop hold up no task`() async throws {
            // As many requests in flight as it takes to block a small pool, were it used. By this
            // clock no agent ends its stop before they are answered.
            let (mayAnswer, time) = (Gate(), ManualTime())
            let agents = try (0..<4).map { _ in
                let entered = Gate()
                var configuration = Agent.Configuration(address: .loopback(port: 0))
                configuration.registry = Registry(log: DiagnosticLog { _, _ in })
                configuration.debugAddress = .nowhere
                configuration.pages = [SlowPage(entered: entered, mayAnswer: mayAnswer)]
                configuration.time = time
                let agent = Agent.start(configuration)
                return (agent: agent, address: try #require(agent.address), entered: entered)
            }
            let answers = agents.map { agent in
                Task { try await onOwnThread { try fetch("/slow", from: agent.address).text } }
            }
            for agent in agents { await agent.entered.wait() }
            let stops = agents.map { agent in Task { await agent.agent.run() } }
            for stop in stops { stop.cancel() }
            // Each of them waits for its request, for the drain timeout at most.
            let areStopping = try await onOwnThread {
                time.awaitWaiter(in: .milliseconds(700), count: agents.count)
            }
            #expect(areStopping)
            await Task.detached { mayAnswer.open() }.value
            for answer in answers { #expect(try await answer.value == "answered\n") }
            for stop in stops { await stop.value }
        }
    }

#endif
