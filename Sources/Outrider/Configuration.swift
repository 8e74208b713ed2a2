// SPDX-License-Identifier: Apache-2.0
// Configuration of an agent.

public import OutriderEndpoint
public import OutriderHTTP
public import OutriderMetrics
public import OutriderProfile
public import OutriderRuntime
package import OutriderThreading

extension Agent {
    /// Configuration of an agent.
    ///
    /// Properties that are not set here are read from the environment, then fall back to defaults.
    ///
    /// | property | environment | default |
    /// |---|---|---|
    /// | ``address`` | `OUTRIDER_ADDRESS`, or `OTEL_EXPORTER_PROMETHEUS_HOST` and `…_PORT` | a passed socket named `outrider`, else `127.0.0.1:9464` |
    /// | ``debugAddress`` | `OUTRIDER_DEBUG_ADDRESS`: an address, `shared` or `none` | `127.0.0.1:9465` if the main port is 9464, otherwise another port of `127.0.0.1`; the main address if that is a Unix socket |
    /// | ``debugTokenFile`` | `OUTRIDER_DEBUG_TOKEN_FILE` | none |
    /// | ``limits``: `idleTimeout` | `OUTRIDER_IDLE_TIMEOUT`: whole seconds, 1 to 86,400 | 75 s |
    /// | ``serviceName`` | `OTEL_SERVICE_NAME` | `unknown_service:` and the program's name |
    /// | ``registry``: `Registry(histograms:names:)` | `OUTRIDER_HISTOGRAMS`, `OUTRIDER_METRIC_NAMES` | classic |
    /// | ``resource`` | `OTEL_RESOURCE_ATTRIBUTES` | none |
    public struct Configuration: Sendable {
        /// The address to listen on; nil reads the environment.
        public var address: ListenAddress?
        /// The address for `/debug` and the other operator pages; nil reads the environment.
        public var debugAddress: DebugAddress?
        /// A file whose first line is the bearer token that `/debug` then requires on every
        /// address, including the main one; nil reads the environment.
        ///
        /// The file is read at each request, so the token can be changed while the service runs.
        public var debugTokenFile: String?
        /// Host names, in addition to `localhost` and addresses, under which browsers may request
        /// `/debug`.
        public var debugHostNames: [String] = []
        /// Limits on clients' connections and time, per listener.
        public var limits = Endpoint.Limits()
        /// Whether OpenMetrics output includes `_created` samples, which double the lines of
        /// counters.
        public var showsCreationTimes = false
        /// `service_name` in `target_info`; nil reads the environment.
        public var serviceName: String?
        /// Additional attributes for `target_info`, by their OpenTelemetry names
        /// (`service.version`); they take precedence over those of the environment.
        public var resource: [String: String] = [:]
        /// The metrics to expose.
        public var registry: Registry = .shared
        /// Names and buckets for what swift-metrics records; see ``Agent/metricsFactory``.
        public var metricsFactory = OutriderMetricsFactory.Configuration()
        /// Configuration of ``Agent/http``, the recorder of the service's requests.
        public var http = HTTPRequestRecorder.Configuration()
        /// Which process diagnostics are collected, and how often; see ``Agent/runtime``.
        public var runtime = RuntimeMonitor.Configuration()
        /// Whether `/readyz` reports ready from the start; if not, call ``Agent/markReady()``.
        public var startsReady = true
        /// Sources of profiles, such as the `HeapProfiler` of `OutriderHeap`; they start with the
        /// agent and appear below `/debug/pprof/`.
        public var profiles: [any ProfileSource] = []
        /// The service's own pages, in addition to those of the agent.
        public var pages: [any Page] = []
        /// The log for the agent's messages; `DiagnosticLog.setHandler` replaces stderr.
        public var log: DiagnosticLog = .shared
        /// Delay between attempts to listen; doubles from the lower to the upper bound.
        ///
        /// Values are clamped to between 10 ms and one hour.
        public var retryDelay: ClosedRange<Duration> = .milliseconds(250) ... .seconds(15)

        /// Environment variables to read instead of the process's own.
        package var environment: [String: String]?
        /// The clock of all deadlines and of the one-second timer.
        package var time: any TimeSource = SystemTime()

        /// The defaults.
        public init() {}

        /// The default configuration with this address.
        public init(address: ListenAddress) {
            self.address = address
        }

        /// A copy with additional sources of profiles.
        func with(_ more: [any ProfileSource]) -> Configuration {
            var configuration = self
            configuration.profiles += more
            return configuration
        }
    }

    /// A policy for failures to listen: log, count, and retry until it succeeds.
    public struct RetryOnFailure: Sendable {
        /// Logs the remedy, counts in `outrider_start_failures_total{reason}`, and retries later.
        public static let retry = RetryOnFailure()
    }

    /// A policy for failures to listen: throw.
    public struct ThrowOnFailure: Sendable {
        /// Throws the ``AgentError`` and starts nothing.
        public static let `throw` = ThrowOnFailure()
    }
}
