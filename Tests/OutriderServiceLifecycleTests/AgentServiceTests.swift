// SPDX-License-Identifier: Apache-2.0
// Tests of the agent in a real ServiceGroup: the order of shutdown.

#if ServiceLifecycle

    import Logging
    import Outrider
    import OutriderEndpoint
    import OutriderServiceLifecycle
    import ServiceLifecycle
    import Synchronization
    import TestSupport
    import Testing

    /// An agent that shares nothing with other tests.
    ///
    /// They use IPv4, so none of them listens on a port that this one has released.
    private func makeAgent(at address: ListenAddress? = nil) throws -> Agent {
        let log = DiagnosticLog { _, _ in }
        var configuration = Agent.Configuration(address: try address ?? ListenAddress("[::1]:0"))
        configuration.log = log
        configuration.registry = Registry(log: log)
        configuration.debugAddress = .disabled
        return Agent.start(configuration)
    }

    /// A gate that tasks wait for, whether cancelled or not.
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

    /// A page that responds when it may.
    private struct SlowPage: Page {
        let path = "/slow"
        let summary = "responds when it may"
        let entered: Gate
        let mayAnswer: Gate

        func respond(to request: Request) -> Response {
            entered.open()
            let isReleased = eventually(within: 300) { mayAnswer.isOpen }
            return .text(isReleased ? "answered\n" : "too late\n")
        }
    }

    /// A web server that completes its requests in flight before it ends.
    private final class Server: Service {
        let endpoint: Endpoint
        let address: ListenAddress
        /// Opened when the group runs; before that it cannot be shut down.
        let started = Gate()
        let entered = Gate()
        let mayAnswer = Gate()
        let shutdownBegan = Gate()
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
            shutdownBegan.open()
            if entered.isOpen { await mayAnswer.wait() }
            let endpoint = endpoint
            try await onOwnThread { endpoint.stop() }
            ended.open()
        }
    }

    /// A service that fails when it may.
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
        @Test func `readyz fails first, then pending requests are answered, then the agent stops`()
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
            await server.shutdownBegan.wait()
            // The server has a request in flight; the agent still runs and reports 503.
            #expect(try await readiness(address) == 503)
            #expect(try await onOwnThread { try fetch("/metrics", from: address).status } == 200)
            server.mayAnswer.open()
            #expect(try await answer.value == "answered\n")
            try await running.value
            #expect(server.ended.isOpen)
            #expect(try await isListening(address) == false)
        }

        @Test func `services are shut down only after the delay`() async throws {
            let agent = try makeAgent()
            let server = try Server()
            let group = group(
                agent.services(around: [server], drainDelay: .milliseconds(200)))
            let running = Task { try await group.run() }
            await server.started.wait()
            let start = ContinuousClock.now
            await group.triggerGracefulShutdown()
            await server.shutdownBegan.wait()
            #expect(ContinuousClock.now - start >= .milliseconds(200))
            try await running.value
        }

        @Test func `readyz fails during the delay, which ends when the group is cancelled`()
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
            #expect(!server.shutdownBegan.isOpen)
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

        @Test func `an agent that cannot listen does not end the services`() async throws {
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
            #expect(server.shutdownBegan.isOpen == false)
            await group.triggerGracefulShutdown()
            try await running.value
            try await onOwnThread { first.stop() }
        }

        @Test func `a service that fails stops the agent too`() async throws {
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

        @Test func `a group that is shut down before it runs ends in order too`() async throws {
            let agent = try makeAgent()
            let address = try #require(agent.address)
            let server = try Server()
            let group = group(agent.services(around: [server]))
            await group.triggerGracefulShutdown()
            try await group.run()
            #expect(server.ended.isOpen)
            #expect(try await isListening(address) == false)
        }

        @Test func `stopping agents do not block tasks`() async throws {
            // Enough requests in flight to block a small thread pool, if stop() used it. On virtual
            // time, no agent finishes its stop before they are answered.
            let (mayAnswer, time) = (Gate(), ManualTime())
            let agents = try (0..<4).map { _ in
                let entered = Gate()
                var configuration = Agent.Configuration(address: .loopback(port: 0))
                configuration.registry = Registry(log: DiagnosticLog { _, _ in })
                configuration.debugAddress = .disabled
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
            // Each agent waits for its request, up to the drain timeout.
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
