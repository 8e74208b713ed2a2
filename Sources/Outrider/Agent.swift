// SPDX-License-Identifier: Apache-2.0
// The agent: it ties metrics, collectors and pages together and keeps the port open.
//
// It holds no logic of its own about any of them.

public import OutriderEndpoint
public import OutriderHTTP
public import OutriderMetrics
public import OutriderProfile
public import OutriderRuntime
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
/// let agent = Agent.start()              // 127.0.0.1:9464, /debug on :9465; no other machine reaches them
/// ```
///
/// It lives until ``stop()`` or the end of the process, whether a reference to it is kept or not.
/// Thread-safe. Starting it costs two sockets, five threads that sleep, one of them
/// for a beat each second, and a few registrations.
public final class Agent: Sendable {
    /// The metrics that this agent exposes.
    public let registry: Registry
    /// A backend for swift-metrics, which records in ``registry``.
    ///
    /// ```swift
    /// MetricsSystem.bootstrap(agent.metricsFactory)
    /// ```
    ///
    /// `bootstrap` can be called once in a process. The factory may be one of several, in a
    /// `MultiplexMetricsHandler`, and works whether or not the agent listens.
    public let metricsFactory: OutriderMetricsFactory
    /// What the process does: collectors, probes, stalls; give it the event loops to watch.
    public let runtime: RuntimeMonitor

    private let recorder = OnceReference<HTTPRequestRecorder>()
    private let recorderSettings: HTTPRequestRecorder.Configuration
    private let readiness: Readiness
    private let log: DiagnosticLog
    private let failures: Family<Counter>
    private let process = getpid()
    private let time: any TimeSource
    private let listener: PatientListener
    /// For `/debug` alone, unless the main one serves it.
    private let debugListener: PatientListener?
    /// Whether code or the environment set its address.
    private let isDebugListenerWanted: Bool

    // MARK: - Start

    /// Starts an agent; never fails and never ends the service.
    ///
    /// If it cannot listen, it logs what to do, counts in `outrider_start_failures_total{reason}`
    /// and tries again, ever less often. A bad environment variable is refused, logged and counted
    /// likewise, and its default holds.
    ///
    /// - Parameters:
    ///   - configuration: What the agent is told in code.
    ///   - profiles: Sources of profiles, beside those of the configuration.
    ///   - onFailure: To log and try again.
    /// - Returns: The agent, which may be let go.
    @discardableResult
    public static func start(
        _ configuration: Configuration = Configuration(), profiles: [any ProfileSource] = [],
        onFailure: RetryOnFailure = .retry
    ) -> Agent {
        let environment = Environment(configuration.environment ?? Environment.ofProcess())
        let agent = Agent(configuration.with(profiles), environment)
        for problem in environment.problems {
            agent.failures.with(problem.reason).increment()
            agent.log.say(.error, about: "start:\(problem.reason)", "\(problem)")
        }
        agent.runtime.start()
        agent.listener.keepTrying()
        agent.debugListener?.keepTrying()
        return agent
    }

    /// Starts an agent, or throws why it cannot be started as it was told.
    ///
    /// - Parameters:
    ///   - configuration: What the agent is told in code.
    ///   - profiles: Sources of profiles, beside those of the configuration.
    ///   - onFailure: To throw.
    /// - Throws: ``AgentError`` if a variable of the environment is bad or the address cannot be
    ///   had. Nothing listens then, and nothing is tried again.
    @discardableResult
    public static func start(
        _ configuration: Configuration = Configuration(), profiles: [any ProfileSource] = [],
        onFailure: ThrowOnFailure
    ) throws(AgentError) -> Agent {
        let environment = Environment(configuration.environment ?? Environment.ofProcess())
        if let problem = environment.problems.first { throw problem }
        let agent = Agent(configuration.with(profiles), environment)
        if let error = agent.listener.open() { throw error }
        if agent.isDebugListenerWanted, let error = agent.debugListener?.open() {
            agent.listener.stop()
            throw error
        }
        if !agent.isDebugListenerWanted { agent.debugListener?.keepTrying() }
        agent.runtime.start()
        return agent
    }

    private init(_ configuration: Configuration, _ environment: Environment) {
        registry = configuration.registry
        metricsFactory = OutriderMetricsFactory(
            registry: configuration.registry, configuration: configuration.metricsFactory)
        recorderSettings = configuration.http
        log = configuration.log
        time = configuration.time
        readiness = Readiness(configuration.startsReady ? .ready : .starting)
        let failures = registry.counter(
            "outrider_start_failures_total",
            help: "Attempts to listen that failed and settings that were refused.",
            labels: ["reason"])
        self.failures = failures
        Identity.register(in: registry, configuration, environment)
        var runtimeSettings = configuration.runtime
        runtimeSettings.time = configuration.time
        let runtime = RuntimeMonitor(
            registry: registry, configuration: runtimeSettings, log: log,
            liveBytes: Self.liveHeap(of: configuration.profiles))
        self.runtime = runtime

        let profiles = Profiles(configuration.profiles, time: time, log: configuration.log) {
            failures.with($0).increment()
        }
        profiles.start(in: registry, log: configuration.log)
        let addresses = Addresses(configuration, environment)
        let pages = Self.pages(configuration, readiness, profiles, runtime)
        let listeners = Listeners(
            configuration, environment, runtime: runtime, failures: failures)
        debugListener = addresses.debug.map { listeners.debug(at: $0, pages) }
        listener = listeners.main(
            at: addresses.main, pages, sharesDebug: addresses.isDebugShared, debug: debugListener)
        isDebugListenerWanted = addresses.isDebugWanted
        if let warning = addresses.warning { log.sayOnce(.warning, warning) }
    }

    private static func pages(
        _ configuration: Configuration, _ readiness: Readiness, _ profiles: Profiles,
        _ runtime: RuntimeMonitor
    ) -> [any Page] {
        var forOperators = profiles.pages
        if configuration.runtime.stallThreshold != nil {
            forOperators.append(StallsPage(runtime: runtime))
        }
        let own: [any Page] = [
            MetricsPage(
                registry: configuration.registry,
                showsCreationTimes: configuration.showsCreationTimes),
            HealthPage(), ReadinessPage(readiness: readiness),
            DebugPage(forOperators + configuration.pages),
        ]
        return own + forOperators + configuration.pages
    }

    /// The heap in use, as the first of the profilers tells that knows it.
    private static func liveHeap(of profiles: [any ProfileSource]) -> @Sendable () -> Int? {
        let sources = profiles.compactMap { $0 as? any LiveHeapSource }
        return { sources.lazy.compactMap(\.liveHeapBytes).first }
    }

    // MARK: - Running

    /// Records the requests that the service answers, as ``Configuration/http`` says.
    ///
    /// Made when it is first asked for, so that a service without HTTP has no metrics of it. Give it
    /// to the adapter of the web framework, or call it from a server of your own.
    public var http: HTTPRequestRecorder {
        if let known = recorder.load() { return known }
        return recorder.storeIfNil(
            HTTPRequestRecorder(registry: registry, configuration: recorderSettings))
    }

    /// Where it listens, with the port that was chosen if 0 was asked for; nil while it does not.
    public var address: ListenAddress? { listener.address }

    /// Where the second listener, the one for `/debug`, listens, with the port that was chosen; nil while it does not.
    public var debugAddress: ListenAddress? { debugListener?.address }

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

    /// Asks `isPassing` when `/readyz` is asked for; one `false` makes it 503.
    ///
    /// It runs on a thread of its own, once at a time: requests that come while it runs share its answer. A check of
    /// the same name is replaced.
    ///
    /// - Parameters:
    ///   - name: What the response calls it.
    ///   - limit: How long it may take until the response is 503 and names it. kubelet gives up after a second
    ///     (`timeoutSeconds`), unless it is told otherwise.
    ///   - isPassing: Whether the service can do its work.
    public func addReadinessCheck(
        _ name: String, within limit: Duration = .milliseconds(800),
        _ isPassing: @escaping @Sendable () -> Bool
    ) {
        readiness.addCheck(name, within: limit, isPassing)
    }

    /// Stops listening and ends every connection; requests in flight are answered.
    ///
    /// First `/readyz` answers 503, then the listeners go, then requests in flight are answered, or
    /// told 503 if they ask for more. Takes about a second at most. Calling it again does nothing.
    /// In a forked child it leaves the parent's listener alone.
    public func stop() {
        // After fork(2) our own locks may be held for ever, by threads that are not there.
        guard getpid() == process else { return }
        markDraining()
        runtime.stop()
        guard let debugListener else { return listener.stop() }
        let isDebugStopped = Latch()
        // Side by side: each takes as long as its slowest request, at most a second.
        let isParallel = DetachedThread.start {
            debugListener.stop()
            isDebugStopped.open()
        }
        if !isParallel { debugListener.stop() }
        listener.stop()
        if isParallel { _ = time.wait(for: isDebugStopped, until: time.now + .seconds(1)) }
    }
}
