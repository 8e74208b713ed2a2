// SPDX-License-Identifier: Apache-2.0
// Counts and times incoming requests by route; the base of all framework adapters.
//
//     adapter → begin(method:) → RequestToken → setRoute, setStatus, … → finish, once
//
// A token records into instruments that are already resolved. A request costs two clock readings,
// one allocation for the token, and a few atomic additions.

public import OutriderMetrics
internal import OutriderThreading
internal import Synchronization

/// Records the requests of a server: how many are in flight, their duration and their result.
///
/// One for each server is enough; two on one registry share their series. Thread-safe.
///
/// ```swift
/// let recorder = HTTPRequestRecorder()
/// let token = recorder.begin(method: "GET")
/// token.setRoute(template: "/orders/{id}")
/// token.setStatus(200)
/// token.finish()
/// ```
///
/// Clients cannot create series: an unknown method is `_OTHER`, a path that matches no route is
/// `_UNMATCHED`, and beyond ``Configuration/limit`` label sets all others share one series whose
/// labels are `_OVERFLOW`.
public final class HTTPRequestRecorder: Sendable {
    /// A route that was looked up once.
    ///
    /// It belongs to the recorder that returned it; another recorder looks it up again.
    public struct Route: Sendable {
        let series: RouteSeries

        /// The template, the value of `http_route`.
        public var template: String { series.template }
    }

    /// The route of requests that match no route: `_UNMATCHED`.
    public let unmatched: Route
    /// Whether body sizes are recorded, so that an adapter has to count bytes.
    public let recordsBodySizes: Bool
    /// Whether the time to the first byte is recorded.
    public let recordsTimeToFirstByte: Bool

    let uptime: UptimeReader
    let families: ServerFamilies
    let errorTypes = ErrorTypes()
    let traceparent: (@Sendable () -> String?)?
    let upgrades: UpgradeFamilies
    let log: DiagnosticLog
    /// The registry's identity: recorders of one registry share their series.
    package let registryIdentity: ObjectIdentifier
    private let methods: MethodTable
    private let routes: RouteTable
    private let identity: UInt64
    private let gauges = InlineArray<32, OnceReference<InFlightGauges>> { _ in
        OnceReference()
    }

    private static let identities = Atomic<UInt64>(0)

    /// A recorder that registers its metrics in `registry`.
    public init(registry: Registry = .shared, configuration: Configuration = Configuration()) {
        let identity = Self.identities.wrappingAdd(1, ordering: .relaxed).newValue
        self.identity = identity
        families = ServerFamilies(in: registry, configuration)
        upgrades = UpgradeFamilies(in: registry, limit: configuration.limit)
        uptime = registry.uptime
        log = registry.log
        registryIdentity = ObjectIdentifier(registry)
        methods = MethodTable(additional: configuration.additionalMethods)
        recordsBodySizes = configuration.recordsBodySizes
        recordsTimeToFirstByte = configuration.recordsTimeToFirstByte
        traceparent = configuration.traceparent
        unmatched = Route(series: RouteSeries("_UNMATCHED", .timed, owner: identity))
        let (excluded, streaming) = (configuration.excludedRoutes, configuration.streamingRoutes)
        // Added first, so that they stay excluded or streaming beyond the limit.
        let special =
            excluded.map { RouteSeries(RouteTable.shown($0), .excluded, owner: identity) }
            + streaming.subtracting(excluded).map {
                RouteSeries(RouteTable.shown($0), .timedToHead, owner: identity)
            }
        routes = RouteTable(
            limit: max(1, configuration.limit.count), known: special,
            overflow: RouteSeries("_OVERFLOW", .timed, owner: identity)
        ) { RouteSeries($0, .timed, owner: identity) }
    }

    /// Returns the route with this template, such as `/orders/{id}`; reuse it where possible.
    ///
    /// Pass templates only, never paths: each is a permanent series. An empty template counts as
    /// `/`. Beyond ``Configuration/limit`` templates, not counting those that the configuration
    /// names, all others become `_OVERFLOW`. Costs a few nanoseconds for a `String` value that is passed
    /// repeatedly, a lock and a hash for a new one.
    public func route(_ template: String) -> Route {
        Route(series: routes.route(template))
    }

    /// Starts recording a request whose route is not known yet.
    ///
    /// - Parameters:
    ///   - method: The method as the client sent it.
    ///   - scheme: Whether the request was encrypted.
    public func begin(method: String, scheme: URLScheme = .http) -> RequestToken {
        RequestToken(self, method: methods.index(of: method), scheme, route: unmatched.series)
    }

    /// Starts recording a request to a known route.
    public func begin(
        method: String, scheme: URLScheme = .http, route: Route
    ) -> RequestToken {
        RequestToken(self, method: methods.index(of: method), scheme, route: own(route))
    }

    /// Counts input that could not be parsed as an HTTP request, in
    /// `http_server_protocol_errors_total{reason}`.
    ///
    /// A server detects these before there is a request to record.
    public func recordProtocolError(_ reason: ProtocolError) {
        families.protocolErrors.with(reason.rawValue).increment()
    }

    /// The route of this recorder for one that any recorder made.
    func own(_ route: Route) -> RouteSeries {
        route.series.owner == identity ? route.series : routes.route(route.template)
    }

    /// Counts a request with this method and scheme as in flight.
    func enter(method: Int, _ scheme: URLScheme) {
        let slot = method * URLScheme.count + scheme.rawValue
        if gauges[slot].withObject({ $0.enter() }) != nil { return }
        let made = families.gauges(method: methods.label(method), scheme: scheme)
        gauges[slot].storeIfNil(made).enter()
    }

    /// Ends counting it as in flight.
    func leave(method: Int, _ scheme: URLScheme) {
        let slot = method * URLScheme.count + scheme.rawValue
        gauges[slot].withObject { $0.leave() }
    }

    /// Calls `body` with the series of a route and a key.
    @inline(__always)
    func withSeries(
        of route: RouteSeries, _ key: RequestSeriesKey, _ body: (RequestSeries) -> Void
    ) {
        route.slots.with(key) {
            families.series(
                method: methods.label(key.method), scheme: key.scheme, route: route.template,
                status: key.statusLabel, error: errorTypes.label(key.error, status: key.status))
        } body: { series in
            body(series)
        }
    }
}
