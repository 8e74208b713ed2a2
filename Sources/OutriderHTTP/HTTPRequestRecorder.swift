// SPDX-License-Identifier: Apache-2.0
// Placeholder of the contract; the real one follows.

public import OutriderMetrics

/// s.
public enum URLScheme: Sendable { case http, https }

public final class HTTPRequestRecorder: Sendable {
    public struct Configuration: Sendable {
        /// Templates of routes that are not recorded at all (`/healthz`).
        public var excludedRoutes: Set<String> = []
        /// Templates of routes whose time ends with the head of the answer (server-sent events).
        public var streamingRoutes: Set<String> = []
        public var recordsBodySizes = false
        public var recordsTimeToFirstByte = false
        public var buckets: Buckets = .default
        /// The `traceparent` of the trace that runs now, asked on the thread or task that finishes
        /// a request, at most once a second for each bucket.
        public var traceparent: (@Sendable () -> String?)?
        public init() {}
    }

    /// A route that was looked up once.
    public struct Route: Sendable {}

    public init(registry: Registry = .shared, configuration: Configuration = Configuration()) {}

    public func route(_ template: String) -> Route { Route() }
    /// For what no route matched.
    public var unmatched: Route { Route() }

    /// A request began; its route is not known yet.
    public func begin(method: String, scheme: URLScheme = .http) -> RequestToken { RequestToken() }
    /// A request began whose route is known.
    public func begin(
        method: String, scheme: URLScheme = .http, route: Route
    ) -> RequestToken { RequestToken() }

    /// Counts bytes on a connection that were no request (`http_server_protocol_errors_total`).
    public func noteProtocolError(_ reason: ProtocolError) {}

    public enum ProtocolError: String, Sendable, CaseIterable {
        case parse, headerTooLarge = "header_too_large", timeout, tls, other
    }
}

public final class RequestToken: Sendable {
    public enum Outcome: Sendable {
        case completed
        /// Thrown. Without a status set before, it counts as 500.
        case failed(any Error)
        /// Gone or cancelled: 499 before the head was sent, else the status stays and it is aborted.
        case clientDisconnected
    }
    public func setRoute(_ route: HTTPRequestRecorder.Route) {}
    /// Nil for what no route matched.
    public func setRoute(template: String?) {}
    public func setStatus(_ code: Int) {}
    /// The final head of the answer has been sent (not 1xx).
    public func noteHead(status: Int) {}
    public func addRequestBytes(_ count: Int) {}
    public func addResponseBytes(_ count: Int) {}
    /// Asks `Configuration.traceparent` now, for a request that is finished outside its task.
    public func captureTrace() {}
    /// Ends it; only the first call counts. `traceparent` is the request's header, looked at only
    /// if an exemplar is wanted.
    public func finish(
        _ outcome: Outcome = .completed, traceparent: @autoclosure () -> String? = nil
    ) {}
    /// Ends it as 101; what returns counts the connection that it became until `end()` or deinit.
    public func upgrade(to protocolName: String) -> UpgradedConnection { UpgradedConnection() }
}

public final class UpgradedConnection: Sendable {
    public func end() {}
}

public final class HTTPClientRecorder: Sendable {
    public init(registry: Registry = .shared) {}
}
