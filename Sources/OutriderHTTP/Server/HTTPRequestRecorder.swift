// SPDX-License-Identifier: Apache-2.0
// Incoming requests, counted and timed by route: what every adapter to a framework sits on.
//
//     adapter → begin(method:) → RequestToken → setRoute, setStatus, … → finish, once
//
// A token counts into instruments that were resolved before. What a request costs is two looks at
// the clock, one allocation for the token, and a few atomic additions.

public import OutriderMetrics
internal import OutriderThreading
internal import Synchronization

/// Records the requests of a server: how many are in flight, how long they took, how they ended.
///
/// One for each server is enough, and two on one registry share their series. Thread-safe.
///
/// ```swift
/// let recorder = HTTPRequestRecorder()
/// let token = recorder.begin(method: "GET")
/// token.setRoute(template: "/orders/{id}")
/// token.setStatus(200)
/// token.finish()
/// ```
///
/// No client can make series: a method that is not known is `_OTHER`, a path that no route matched
/// is `_UNMATCHED`, and past ``Configuration/limit`` label sets all others share one series whose
/// labels are `_OVERFLOW`.
public final class HTTPRequestRecorder: Sendable {
    /// A route that was looked up once.
    ///
    /// Only of use to the recorder that gave it; another one looks it up anew.
    public struct Route: Sendable {
        let series: RouteSeries

        /// The template that stands in `http_route`.
        public var template: String { series.template }
    }

    /// The route of what no route matched: `_UNMATCHED`.
    public let unmatched: Route
    /// Whether the sizes of bodies are recorded, so that an adapter knows if it has to count.
    public let recordsBodySizes: Bool
    /// Whether the time to the first byte is recorded.
    public let recordsTimeToFirstByte: Bool

    let uptime: UptimeReader
    let families: ServerFamilies
    let errorTypes = ErrorTypes()
    let traceparent: (@Sendable () -> String?)?
    let upgrades: UpgradeFamilies
    let log: DiagnosticLog
    /// Recorders of one registry share their series.
    package let registryIdentity: ObjectIdentifier
    private let methods: MethodTable
    private let routes: RouteTable
    private let identity: UInt64
    private let gauges = InlineArray<32, OnceReference<InFlight>> { _ in
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
        // Known from the start, so that they are what they are past the limit too.
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

    /// The route with this template, such as `/orders/{id}`; keep it where that is easy.
    ///
    /// Give templates only and never paths: each is a series for good. An empty one is `/`. Beyond
    /// ``Configuration/limit`` templates, not counting those that the configuration names, all
    /// others are `_OVERFLOW`. Costs a few nanoseconds for a
    /// `String` that is handed out again and again, a lock and a hash for one made anew.
    public func route(_ template: String) -> Route {
        Route(series: routes.route(template))
    }

    /// A request began; its route is not known yet.
    ///
    /// - Parameters:
    ///   - method: As the client sent it.
    ///   - scheme: How it came.
    public func begin(method: String, scheme: URLScheme = .http) -> RequestToken {
        RequestToken(self, method: methods.number(of: method), scheme, route: unmatched.series)
    }

    /// A request to a known route began.
    public func begin(
        method: String, scheme: URLScheme = .http, route: Route
    ) -> RequestToken {
        RequestToken(self, method: methods.number(of: method), scheme, route: own(route))
    }

    /// Counts what came over a connection and was no request, in
    /// `http_server_protocol_errors_total{reason}`.
    ///
    /// A server sees those before there is a request that could be recorded.
    public func noteProtocolError(_ reason: ProtocolError) {
        families.protocolErrors.with(reason.rawValue).increment()
    }

    /// A route of this recorder, whoever made the one given.
    func own(_ route: Route) -> RouteSeries {
        route.series.owner == identity ? route.series : routes.route(route.template)
    }

    /// A request with this method and scheme begins to be in flight.
    func enter(method: Int, _ scheme: URLScheme) {
        let place = method * URLScheme.count + scheme.rawValue
        if gauges[place].withObject({ $0.enter() }) != nil { return }
        let made = families.gauges(method: methods.label(method), scheme: scheme)
        gauges[place].storeIfNil(made).enter()
    }

    /// It is in flight no longer.
    func leave(method: Int, _ scheme: URLScheme) {
        let place = method * URLScheme.count + scheme.rawValue
        gauges[place].withObject { $0.leave() }
    }

    /// Calls `body` with the series of a route that `key` says.
    @inline(__always)
    func withSeries(
        of route: RouteSeries, _ key: SeriesKey, _ body: (RequestSeries) -> Void
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
