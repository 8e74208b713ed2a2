// SPDX-License-Identifier: Apache-2.0
// The agent: it connects metrics, collectors and pages, and keeps the port open.
//
// It contains none of their logic.

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

/// An in-process agent that serves metrics, diagnostics, profiles and health checks on one port.
///
/// ```swift
/// let agent = Agent.start()  // 127.0.0.1:9464, /debug on :9465; not reachable from other machines
/// ```
///
/// The agent runs until ``stop()`` or the end of the process, whether or not a reference to it is
/// kept. Thread-safe. It costs two sockets, five sleeping threads, one of which runs a one-second
/// timer, and a few registrations.
public final class Agent: Sendable {
    /// The metrics that this agent exposes.
    public let registry: Registry
    /// A swift-metrics backend that records in ``registry``.
    ///
    /// ```swift
    /// MetricsSystem.bootstrap(agent.metricsFactory)
    /// ```
    ///
    /// `bootstrap` can be called once per process. The factory can be one of several in a
    /// `MultiplexMetricsHandler`, and works whether or not the agent listens.
    public let metricsFactory: OutriderMetricsFactory
    /// Process diagnostics: collectors, probes and stalls; register event loops here.
    public let runtime: RuntimeMonitor

    private let recorder = OnceReference<HTTPRequestRecorder>()
    private let recorderSettings: HTTPRequestRecorder.Configuration
    private let readiness: Readiness
    private let log: DiagnosticLog
    private let failures: Family<Counter>
    private let process = getpid()
    private let time: any TimeSource
    private let listener: RetryingListener
    /// For `/debug` only; nil if the main listener serves it.
    private let debugListener: RetryingListener?
    /// Whether code or the environment set the debug address.
    private let isDebugListenerWanted: Bool

    // MARK: - Start

    /// Starts an agent; never throws and never ends the process.
    ///
    /// If the agent cannot listen, it logs what to do, counts in
    /// `outrider_start_failures_total{reason}` and retries with growing delays. An invalid
    /// environment variable is rejected, logged and counted likewise, and its default applies.
    ///
    /// - Parameters:
    ///   - configuration: Settings made in code.
    ///   - profiles: Sources of profiles, in addition to those of the configuration.
    ///   - onFailure: To log and retry.
    /// - Returns: The agent; a reference to it need not be kept.
    @discardableResult
    public static func start(
        _ configuration: Configuration = Configuration(), profiles: [any ProfileSource] = [],
        onFailure: RetryOnFailure = .retry
    ) -> Agent {
        let environment = Environment(configuration.environment ?? Environment.ofProcess())
        let agent = Agent(configuration.with(profiles), environment)
        for problem in environment.problems {
            agent.failures.with(problem.reason).increment()
            agent.log.report(.error, about: "start:\(problem.reason)", "\(problem)")
        }
        agent.runtime.start()
        agent.listener.openWithRetries()
        agent.debugListener?.openWithRetries()
        return agent
    }

    /// Starts an agent, or throws if it cannot be started as configured.
    ///
    /// - Parameters:
    ///   - configuration: Settings made in code.
    ///   - profiles: Sources of profiles, in addition to those of the configuration.
    ///   - onFailure: To throw.
    /// - Throws: ``AgentError`` if an environment variable is invalid or the address is
    ///   unavailable. Then nothing listens and nothing is retried.
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
        if !agent.isDebugListenerWanted { agent.debugListener?.openWithRetries() }
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
            help: "Failed attempts to listen and rejected settings, by reason.",
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
        if let warning = addresses.warning { log.reportOnce(.warning, warning) }
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

    /// The heap in use, from the first profiler that reports it.
    private static func liveHeap(of profiles: [any ProfileSource]) -> @Sendable () -> Int? {
        let sources = profiles.compactMap { $0 as? any LiveHeapSource }
        return { sources.lazy.compactMap(\.liveHeapBytes).first }
    }

    // MARK: - Running

    /// A recorder for the requests that the service handles, configured by ``Configuration/http``.
    ///
    /// It is created at its first use, so a service without HTTP has no HTTP metrics. Pass it to
    /// the adapter of the web framework, or call it from your own server.
    public var http: HTTPRequestRecorder {
        if let known = recorder.load() { return known }
        return recorder.storeIfNil(
            HTTPRequestRecorder(registry: registry, configuration: recorderSettings))
    }

    /// The main address, with the actual port if port 0 was requested; nil while the agent does not
    /// listen.
    public var address: ListenAddress? { listener.address }

    /// The address of the second listener, for `/debug`, with its actual port; nil while it does
    /// not listen.
    public var debugAddress: ListenAddress? { debugListener?.address }

    /// Makes `/readyz` report ready, provided that its checks pass.
    public func markReady() {
        readiness.move(to: .ready)
    }

    /// Makes `/readyz` return 503 from now on; this is final and affects nothing else.
    ///
    /// Call it first at shutdown, so that the service receives no new traffic.
    public func markDraining() {
        readiness.move(to: .draining)
    }

    /// Adds a check that `/readyz` evaluates on each request; one `false` results in 503.
    ///
    /// The check runs on its own thread, one run at a time: requests that arrive during a run share
    /// its result. A check with the same name is replaced.
    ///
    /// - Parameters:
    ///   - name: The name of the check in the response.
    ///   - limit: How long the check may take before the response is 503 and names it. kubelet
    ///     gives up after one second (`timeoutSeconds`) by default.
    ///   - isPassing: Returns whether the service can do its work.
    public func addReadinessCheck(
        _ name: String, within limit: Duration = .milliseconds(800),
        _ isPassing: @escaping @Sendable () -> Bool
    ) {
        readiness.addCheck(name, within: limit, isPassing)
    }

    /// Stops listening and closes every connection after its current request.
    ///
    /// `/readyz` returns 503 first, then the listeners close, then requests in flight are answered;
    /// a further request on their connections gets 503. Takes about a second at most. Further calls
    /// do nothing. In a forked child it leaves the parent's listener alone.
    public func stop() {
        // After fork(2) our locks may be held forever by threads that do not exist in the child.
        guard getpid() == process else { return }
        markDraining()
        runtime.stop()
        guard let debugListener else { return listener.stop() }
        let isDebugStopped = Latch()
        // In parallel: each takes as long as its slowest request, at most a second.
        let isParallel = DetachedThread.start {
            debugListener.stop()
            isDebugStopped.open()
        }
        if !isParallel { debugListener.stop() }
        listener.stop()
        if isParallel { _ = time.wait(for: isDebugStopped, until: time.now + .seconds(1)) }
    }
}
