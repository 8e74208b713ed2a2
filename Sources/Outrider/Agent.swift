// SPDX-License-Identifier: Apache-2.0
// The agent: it ties metrics, collectors and pages together and keeps the port open.
//
// It holds no logic of its own about any of them. What it adds is patience: a port that is taken,
// as in every rolling deploy on one machine, is tried again until it is free.

public import OutriderEndpoint
internal import OutriderLocking
public import OutriderMetrics
internal import OutriderRuntime

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Shows a service on one small port.
///
/// ```swift
/// let agent = Agent.start()              // 127.0.0.1:9464; no other machine can reach it
/// ```
///
/// It lives until ``stop()`` or the end of the process, whether a reference to it is kept or not.
/// Thread-safe. Starting it costs a socket, one thread that sleeps, and a few registrations.
public final class Agent: Sendable {
    /// The metrics that this agent exposes.
    public let registry: Registry

    private let configuration: Configuration
    private let wantedAddress: ListenAddress
    private let readiness: Readiness
    private let log: DiagnosticLog
    private let process = getpid()
    private let answers: Family<Counter>
    private let failures: Family<Counter>
    private let state = Guarded(State())

    private struct State: Sendable {
        var endpoint: Endpoint?
        var retry: Task<Void, Never>?
        var isStopped = false
    }

    // MARK: - Start

    /// Starts an agent; never fails and never ends the service.
    ///
    /// If it cannot listen, it logs what to do, counts in `outrider_start_failures_total{reason}`
    /// and tries again, ever less often. A bad environment variable is refused, logged and counted
    /// likewise, and its default holds.
    ///
    /// - Returns: The agent, which may be let go.
    @discardableResult
    public static func start(
        _ configuration: Configuration = Configuration(), onFailure: RetryOnFailure = .retry
    ) -> Agent {
        let environment = Environment(configuration.environment ?? Environment.ofProcess())
        let agent = Agent(configuration, environment)
        for problem in environment.problems { agent.note(problem) }
        agent.listen(nextDelay: configuration.retryDelay.lowerBound)
        return agent
    }

    /// Starts an agent, or throws why it cannot be started as it was told.
    ///
    /// - Throws: ``AgentError`` if a variable of the environment is bad or the address cannot be
    ///   had. Nothing listens then, and nothing is tried again.
    @discardableResult
    public static func start(
        _ configuration: Configuration = Configuration(), onFailure: ThrowOnFailure
    ) throws(AgentError) -> Agent {
        let environment = Environment(configuration.environment ?? Environment.ofProcess())
        if let problem = environment.problems.first { throw problem }
        let agent = Agent(configuration, environment)
        if let error = agent.open() { throw AgentError(error) }
        return agent
    }

    private init(_ configuration: Configuration, _ environment: Environment) {
        self.configuration = configuration
        registry = configuration.registry
        log = configuration.log
        wantedAddress = configuration.address ?? environment.address ?? .loopback(port: 9464)
        readiness = Readiness(configuration.startsReady ? .ready : .starting)
        answers = registry.counter(
            "outrider_http_requests_total",
            help: "Requests that the agent's own endpoint answered.", labels: ["page", "code"])
        failures = registry.counter(
            "outrider_start_failures_total",
            help: "Attempts to listen that failed and settings that were refused.",
            labels: ["reason"])
        Identity.register(in: registry, configuration, environment)
        Self.addProcessCollector(to: registry)
    }

    /// Two agents may share a registry; the process is collected once.
    private static func addProcessCollector(to registry: Registry) {
        let process = ProcessCollector()
        if !registry.isCollecting(process.name) { registry.add(process) }
    }

    // MARK: - Listening

    /// Opens the endpoint; returns why it could not.
    private func open() -> EndpointError? {
        var endpoint = Endpoint.Configuration(address: wantedAddress)
        let log = self.log
        endpoint.log = { message in log.say(.warning, about: "endpoint", message) }
        let answers = self.answers
        endpoint.onAnswer = { page, status in answers.with(page, String(status)).increment() }
        let pages: [any Page] =
            [
                MetricsPage(registry: registry), HealthPage(),
                ReadinessPage(readiness: readiness),
            ] + configuration.pages
        let configuration = endpoint
        return state.withLock { state in
            guard !state.isStopped, state.endpoint == nil else { return nil }
            do throws(EndpointError) {
                state.endpoint = try Endpoint(configuration, pages: pages)
                return nil
            } catch {
                return error
            }
        }
    }

    private func listen(nextDelay: Duration) {
        guard let error = open() else { return }
        note(AgentError(error))
        state.withLock { state in
            guard !state.isStopped else { return }
            state.retry = Task.detached(priority: .utility) { [self] in
                guard (try? await Task.sleep(for: nextDelay)) != nil else { return }
                listen(nextDelay: min(nextDelay * 2, configuration.retryDelay.upperBound))
            }
        }
    }

    private func note(_ problem: AgentError) {
        failures.with(problem.reason).increment()
        log.say(.error, about: "start:\(problem.reason)", "\(problem)")
    }

    // MARK: - Running

    /// Where it listens, with the port that was chosen if 0 was asked for; nil while it does not.
    public var address: ListenAddress? {
        state.withLock { $0.endpoint?.address }
    }

    /// Lets `/readyz` say that the service wants traffic, as far as its checks agree.
    public func markReady() {
        readiness.move(to: .ready)
    }

    /// Lets `/readyz` answer 503 from now on, for good; all else goes on.
    ///
    /// Call it first when the service shuts down, so that no new traffic is sent to it.
    public func markDraining() {
        readiness.move(to: .draining)
    }

    /// Asks `isPassing` at each request for `/readyz`; one `false` makes it 503.
    ///
    /// It should answer within a second, as kubelet gives up after that; a check of the same name
    /// is replaced.
    public func addReadinessCheck(
        _ name: String, _ isPassing: @escaping @Sendable () -> Bool
    ) {
        readiness.addCheck(name, isPassing)
    }

    /// Stops listening and ends every connection; requests in flight are answered.
    ///
    /// Takes less than a second. Calling it again does nothing. In a forked child it leaves the
    /// parent's listener alone.
    public func stop() {
        // After fork(2) our own locks may be held for ever, by threads that are not there.
        guard getpid() == process else { return }
        markDraining()
        let (endpoint, retry) = state.withLock { state in
            defer { state = State(endpoint: nil, retry: nil, isStopped: true) }
            return (state.endpoint, state.retry)
        }
        retry?.cancel()
        endpoint?.stop()
    }
}
