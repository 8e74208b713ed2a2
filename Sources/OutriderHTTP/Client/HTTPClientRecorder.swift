// SPDX-License-Identifier: Apache-2.0
// Counts and times outgoing requests by the server that receives them.
//
// By server and not by path, because a client seldom knows the template of its request, and the
// number of paths is unbounded.

public import OutriderMetrics
internal import OutriderThreading
internal import Synchronization

/// Records the requests that a service sends: their duration and result, in
/// `http_client_request_duration_seconds`.
///
/// Thread-safe.
///
/// ```swift
/// let outgoing = HTTPClientRecorder()
/// let stock = outgoing.peer("stock.internal", port: 8080)
/// let reply = try await outgoing.record(method: "GET", to: stock) { token in
///     let reply = try await client.execute(request, timeout: .seconds(1))
///     token.setStatus(Int(reply.status.code))
///     return reply
/// }
/// ```
public final class HTTPClientRecorder: Sendable {
    /// Configuration of a recorder of outgoing requests.
    public struct Configuration: Sendable {
        /// Upper bounds of the duration buckets, in seconds.
        public var buckets: Buckets = .default
        /// Methods to distinguish in addition to the nine standard ones; only the first six are
        /// used.
        public var additionalMethods: [String] = []
        /// The maximum number of label sets, and of peers.
        public var limit = SeriesLimit(count: 1_000)
        /// The current trace, as in ``HTTPRequestRecorder/Configuration/traceparent``.
        public var traceparent: (@Sendable () -> String?)?

        /// The defaults.
        public init() {}
    }

    /// A server that receives requests, looked up once.
    ///
    /// It belongs to the recorder that returned it; another recorder looks it up again.
    public struct Peer: Sendable {
        let series: PeerSeries
    }

    /// A peer and its series.
    final class PeerSeries: Sendable {
        let address: String
        let port: String
        /// The port; nil for the overflow peer.
        let number: Int?
        /// The recorder that it belongs to.
        let owner: UInt64
        let slots = SeriesSlots<Durations>()

        init(_ address: String, port: Int, owner: UInt64) {
            self.address = address
            self.port = String(port)
            number = port
            self.owner = owner
        }

        init(overflowOf owner: UInt64) {
            address = "_OVERFLOW"
            port = "_OVERFLOW"
            number = nil
            self.owner = owner
        }
    }

    /// The instrument of one label set.
    final class Durations: Sendable {
        let duration: DurationSeries

        init(_ duration: DurationSeries) {
            self.duration = duration
        }
    }

    private struct Name: Hashable, Sendable {
        let address: String
        let port: Int
    }

    let uptime: UptimeReader
    let errorTypes = ErrorTypes()
    let traceparent: (@Sendable () -> String?)?
    private let durations: Family<Histogram>
    private let methods: MethodTable
    private let limit: Int
    private let peers = Guarded<[Name: PeerSeries]>([:])
    private let overflow: PeerSeries
    private let identity: UInt64

    private static let identities = Atomic<UInt64>(0)
    private static let longest = LabelLimits.default.valueLength

    /// A recorder that registers its metrics in `registry`.
    public init(registry: Registry = .shared, configuration: Configuration = Configuration()) {
        identity = Self.identities.wrappingAdd(1, ordering: .relaxed).newValue
        overflow = PeerSeries(overflowOf: identity)
        durations = registry.histogram(
            "http_client_request_duration_seconds", help: "Duration of HTTP client requests.",
            labels: [
                "http_request_method", "server_address", "server_port",
                "http_response_status_code", "error_type",
            ], buckets: configuration.buckets, limit: configuration.limit)
        methods = MethodTable(additional: configuration.additionalMethods)
        limit = max(1, configuration.limit.count)
        traceparent = configuration.traceparent
        uptime = registry.uptime
    }

    /// Returns the peer for a server name or address and a port; reuse it where possible.
    ///
    /// Beyond ``Configuration/limit`` peers, all others become `_OVERFLOW`, and so does a name of
    /// more than 1,024 bytes: a host name has at most 253 (RFC 1035, 2.3.4). An IPv6 address may
    /// have brackets: `[::1]` and `::1` are the same server, as are names in lower and upper case.
    public func peer(_ address: String, port: Int) -> Peer {
        let address = HostAddress.label(address)
        let name = Name(address: address, port: port)
        let series = peers.withLock { peers in
            if let known = peers[name] { return known }
            guard peers.count < limit, address.utf8.count <= Self.longest else { return overflow }
            let made = PeerSeries(address, port: port, owner: identity)
            peers[name] = made
            return made
        }
        return Peer(series: series)
    }

    /// Starts recording a request to `peer`.
    public func begin(method: String, to peer: Peer) -> ClientRequestToken {
        ClientRequestToken(self, method: methods.index(of: method), own(peer.series))
    }

    /// The peer of this recorder for one that any recorder made.
    private func own(_ series: PeerSeries) -> PeerSeries {
        if series.owner == identity { return series }
        guard let port = series.number else { return overflow }
        return peer(series.address, port: port).series
    }

    /// Records the request that `body` sends, with the status that it sets on the token or the
    /// error that it throws.
    ///
    /// The time ends when `body` returns or throws. An error in a cancelled task, and any
    /// `CancellationError`, counts as `cancelled`.
    nonisolated(nonsending)
        public func record<Result, Failure: Error>(
            method: String, to peer: Peer,
            _ body: nonisolated(nonsending) (ClientRequestToken) async throws(Failure) -> Result
        ) async throws(Failure) -> Result
    {
        let token = begin(method: method, to: peer)
        do throws(Failure) {
            let result = try await body(token)
            token.finish(.completed)
            return result
        } catch {
            token.finish(isCancellation(error) ? .cancelled : .failed(error))
            throw error
        }
    }

    func withSeries(of peer: PeerSeries, _ key: RequestSeriesKey, _ body: (Durations) -> Void) {
        peer.slots.with(key) {
            let (histogram, isOverflow) = durations.resolve([
                methods.label(key.method), peer.address, peer.port, key.statusLabel,
                errorTypes.label(key.error, status: key.status),
            ])
            return (Durations(DurationSeries(histogram)), !isOverflow)
        } body: { series in
            body(series)
        }
    }
}
