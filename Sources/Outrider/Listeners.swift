// SPDX-License-Identifier: Apache-2.0
// The listeners of an agent: the main one, and the one for operators.

internal import OutriderEndpoint
internal import OutriderMetrics
internal import OutriderRuntime

/// Creates the listeners of an agent, which share its counters and most settings.
struct Listeners {
    private let configuration: Agent.Configuration
    private let tokenFile: String?
    private let limits: Endpoint.Limits
    private let runtime: RuntimeMonitor
    private let failures: Family<Counter>
    private let responses: Family<Counter>
    private let cuts: Family<Counter>
    private let lostDescriptors: Counter

    init(
        _ configuration: Agent.Configuration, _ environment: Environment, runtime: RuntimeMonitor,
        failures: Family<Counter>
    ) {
        self.configuration = configuration
        tokenFile = configuration.debugTokenFile ?? environment.debugTokenFile
        var limits = configuration.limits
        limits.chosenIdleTimeout = limits.chosenIdleTimeout ?? environment.idleTimeout
        self.limits = limits
        self.runtime = runtime
        self.failures = failures
        responses = configuration.registry.counter(
            "outrider_http_requests_total",
            help: "Requests to the agent's own endpoint, by page and status.",
            labels: ["page", "code"])
        cuts = configuration.registry.counter(
            "outrider_connections_cut_total",
            help: "Connections that the agent's endpoint closed before the client did, by reason.",
            labels: ["reason"])
        lostDescriptors = configuration.registry.counter(
            "outrider_descriptors_lost_total",
            help: "Descriptors of the agent's endpoint that other code in the process closed.")
    }

    /// The listener for all clients; `debug` is the one for operators, if there is one.
    func main(
        at address: ListenAddress, _ pages: [any Page], sharesDebug: Bool, debug: RetryingListener?
    ) -> RetryingListener {
        var access = AccessRules()
        access.trustsLoopback = sharesDebug
        access.operatorAddress = { debug?.address }
        return make(
            at: address, pages, access, setBy: "Configuration.address or OUTRIDER_ADDRESS")
    }

    /// The listener for operators only; on a loopback address it requires a token only if one is
    /// configured.
    func debug(at address: ListenAddress, _ pages: [any Page]) -> RetryingListener {
        var access = AccessRules()
        access.trustsLoopback = true
        return make(
            at: address, pages.filter(\.isForOperators), access,
            setBy: "Configuration.debugAddress or OUTRIDER_DEBUG_ADDRESS")
    }

    private func make(
        at address: ListenAddress, _ pages: [any Page], _ access: AccessRules, setBy origin: String
    ) -> RetryingListener {
        var settings = Endpoint.Configuration(address: address)
        settings.access = access
        settings.access.hostNames = configuration.debugHostNames
        settings.access.tokenFile = tokenFile
        settings.limits = limits
        settings.time = configuration.time
        // Function names are only for clients that may see `/debug` on that listener.
        settings.notices = { [runtime, registry = configuration.registry] audience in
            runtime.notices(includesFunctions: audience == .operators) + registry.overflowNotices
        }
        let log = configuration.log
        settings.log = { message in log.report(.warning, about: "endpoint", message) }
        settings.onCut = { [cuts] reason in cuts.with("\(reason)").increment() }
        settings.onLostDescriptor = { [lostDescriptors] in lostDescriptors.increment() }
        settings.onResponse = { [responses] page, status in
            responses.with(page, String(status)).increment()
        }
        if let problem = settings.tokenProblem { log.reportOnce(.warning, problem) }
        return RetryingListener(
            settings, pages: pages, retryDelay: configuration.retryDelay, log: log,
            failures: failures, setBy: origin)
    }
}
