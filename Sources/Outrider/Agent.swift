// SPDX-License-Identifier: Apache-2.0
// The agent: it ties metrics, collectors and pages together and keeps the port open.
//
// It holds no logic of its own about any of them. What it adds is patience: a port that is taken,
// as in every rolling deploy on one machine, is tried again until it is free.

internal import Dispatch
public import OutriderEndpoint
public import OutriderMetrics
internal import OutriderRuntime
internal import OutriderThreading

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
    /// Where attempts to listen are made: not a task, since a service whose tasks are all stuck is
    /// just the one that must be seen.
    private let queue = DispatchQueue(label: "outrider.agent")
    private let answers: Family<Counter>
    private let failures: Family<Counter>
    private let state = Guarded(State())

    private struct State: Sendable {
        var endpoint: Endpoint?
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
        for problem in environment.problems {
            agent.failures.with(problem.reason).increment()
            agent.log.say(.error, about: "start:\(problem.reason)", "\(problem)")
        }
        agent.listen(lastDelay: .zero)
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
        let (log, answers) = (self.log, self.answers)
        var settings = Endpoint.Configuration(address: wantedAddress)
        settings.log = { message in log.say(.warning, about: "endpoint", message) }
        settings.onAnswer = { page, status in answers.with(page, String(status)).increment() }
        let own: [any Page] = [
            MetricsPage(registry: registry), HealthPage(), ReadinessPage(readiness: readiness),
        ]
        do throws(EndpointError) {
            // Outside the lock: it asks the service's pages for their paths.
            let endpoint = try Endpoint(settings, pages: own + configuration.pages)
            let isWanted = state.withLock { state in
                if !state.isStopped { state.endpoint = endpoint }
                return !state.isStopped
            }
            if !isWanted { endpoint.stop() }
            return nil
        } catch {
            return error
        }
    }

    /// Opens the endpoint, now or as soon as it can be.
    ///
    /// - Parameters:
    ///   - lastDelay: How long the wait before this attempt was.
    ///   - failure: Why the attempt before this one failed.
    private func listen(lastDelay: Duration, after failure: AgentError? = nil) {
        if state.withLock({ $0.isStopped }) { return }
        guard let error = open().map(AgentError.init) else {
            if failure != nil, let address {
                log.say(.info, about: "listening", "listening on \(address) now")
            }
            return
        }
        failures.with(error.reason).increment()
        // Each outage is told once, not at each attempt.
        if error.reason != failure?.reason {
            log.say(.error, about: "start:\(error.reason)", "\(error)")
        }
        let next = Self.delay(after: lastDelay, in: configuration.retryDelay)
        // Should the agent be stopped meanwhile, this attempt sees it and does nothing.
        let milliseconds = Int(next / .milliseconds(1))
        queue.asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { [self] in
            listen(lastDelay: next, after: error)
        }
    }

    /// The wait that follows one of `delay`.
    private static func delay(
        after delay: Duration, in range: ClosedRange<Duration>
    ) -> Duration {
        let shortest = min(max(range.lowerBound, .milliseconds(10)), .seconds(3600))
        let longest = min(max(range.upperBound, shortest), .seconds(3600))
        return delay == .zero ? shortest : min(delay * 2, longest)
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
    /// It should answer within a second, as kubelet gives up after that. While it has not answered
    /// one request, others are told so instead of waiting. A check of the same name is replaced.
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
        let endpoint = state.withLock { state in
            defer { state = State(endpoint: nil, isStopped: true) }
            return state.endpoint
        }
        endpoint?.stop()
    }
}
