// SPDX-License-Identifier: Apache-2.0
// What an agent can be told, in code.

public import OutriderEndpoint
public import OutriderHTTP
public import OutriderMetrics
public import OutriderProfile
public import OutriderRuntime
package import OutriderThreading

extension Agent {
    /// How an agent starts.
    ///
    /// What is left alone here comes from the environment, then from the defaults.
    ///
    /// | property | environment | default |
    /// |---|---|---|
    /// | ``address`` | `OUTRIDER_ADDRESS`, or `OTEL_EXPORTER_PROMETHEUS_HOST` and `…_PORT` | a passed socket named `outrider`, else `127.0.0.1:9464` |
    /// | ``debugAddress`` | `OUTRIDER_DEBUG_ADDRESS`: an address, `shared` or `none` | `127.0.0.1:9465` beside port 9464, another port of `127.0.0.1` beside other ports; the main address if that is a Unix socket |
    /// | ``debugTokenFile`` | `OUTRIDER_DEBUG_TOKEN_FILE` | none |
    /// | ``limits``: `idleTimeout` | `OUTRIDER_IDLE_TIMEOUT`: whole seconds, 1 to 86,400 | 75 s |
    /// | ``serviceName`` | `OTEL_SERVICE_NAME` | `unknown_service:` and the program's name |
    /// | ``registry``: `Registry(histograms:names:)` | `OUTRIDER_HISTOGRAMS`, `OUTRIDER_METRIC_NAMES` | classic |
    /// | ``resource`` | `OTEL_RESOURCE_ATTRIBUTES` | none |
    public struct Configuration: Sendable {
        /// Where to listen; nil asks the environment.
        public var address: ListenAddress?
        /// Where `/debug` and the other pages for operators are served; nil asks the environment.
        public var debugAddress: DebugAddress?
        /// A file whose first line is the bearer token that `/debug` then requires on every address, the
        /// main one included; nil asks the environment.
        ///
        /// Read at each request, so the token can be changed while the service runs.
        public var debugTokenFile: String?
        /// Names, besides `localhost` and addresses, by which browsers may ask for `/debug`.
        public var debugHostNames: [String] = []
        /// What clients may take of connections and time, for each listener.
        public var limits = Endpoint.Limits()
        /// Whether OpenMetrics has `_created` samples, which double the lines of counters.
        public var showsCreationTimes = false
        /// `service_name` in `target_info`; nil asks the environment.
        public var serviceName: String?
        /// More attributes for `target_info`, by their OpenTelemetry names (`service.version`);
        /// they go before those of the environment.
        public var resource: [String: String] = [:]
        /// The metrics to expose.
        public var registry: Registry = .shared
        /// Names and buckets of what swift-metrics records; see ``Agent/metricsFactory``.
        public var metricsFactory = OutriderMetricsFactory.Configuration()
        /// What ``Agent/http`` records of the service's requests, and under which names.
        public var http = HTTPRequestRecorder.Configuration()
        /// What is shown of the process, and how often it is looked at; see ``Agent/runtime``.
        public var runtime = RuntimeMonitor.Configuration()
        /// Whether `/readyz` says so from the start; if not, call ``Agent/markReady()``.
        public var startsReady = true
        /// Sources of profiles, such as the `HeapProfiler` of `OutriderHeap`; they start with the agent
        /// and are shown below `/debug/pprof/`.
        public var profiles: [any ProfileSource] = []
        /// Pages of the service's own, beside those of the agent.
        public var pages: [any Page] = []
        /// Where the agent says what it has to say; `DiagnosticLog.setHandler` replaces
        /// stderr.
        public var log: DiagnosticLog = .shared
        /// How long to wait between attempts to listen; doubles from the lower to the upper bound.
        ///
        /// Less than 10 ms counts as 10 ms, more than an hour as an hour.
        public var retryDelay: ClosedRange<Duration> = .milliseconds(250) ... .seconds(15)

        /// The variables to read instead of the process' own.
        package var environment: [String: String]?
        /// The clock of every deadline and of the beat.
        package var time: any TimeSource = SystemTime()

        /// The defaults.
        public init() {}

        /// The defaults, on this address.
        public init(address: ListenAddress) {
            self.address = address
        }

        /// The same with more sources of profiles.
        func with(_ more: [any ProfileSource]) -> Configuration {
            var configuration = self
            configuration.profiles += more
            return configuration
        }
    }

    /// What to do when the agent cannot listen: log, count, and try again until it can.
    public struct RetryOnFailure: Sendable {
        /// Logs what to do, counts in `outrider_start_failures_total{reason}`, tries again later.
        public static let retry = RetryOnFailure()
    }

    /// What to do when the agent cannot listen: throw.
    public struct ThrowOnFailure: Sendable {
        /// Throws the ``AgentError``, and starts nothing.
        public static let `throw` = ThrowOnFailure()
    }
}
