// SPDX-License-Identifier: Apache-2.0
// The connections of a client's pool, as far as they are visible.
//
// AsyncHTTPClient's pool is not public. But its configuration is called for each new connection,
// which can then be observed: a handler behind the codec sees requests and responses. Requests that
// wait for a connection cannot be seen from outside.

#if AsyncHTTPClient
    public import AsyncHTTPClient
    internal import NIOCore
    internal import NIOHTTP1
    public import OutriderMetrics
    internal import OutriderThreading

    extension HTTPClient.Configuration {
        /// Records the connections of the clients made with this configuration.
        ///
        /// ```swift
        /// var configuration = HTTPClient.Configuration()
        /// configuration.recordConnections()
        /// let client = HTTPClient(configuration: configuration)
        /// ```
        ///
        /// Records `http_client_open_connections`, by `http_connection_state` (`active` while a
        /// request has no response, else `idle`) and by `network_peer_address`, and
        /// `http_client_connection_duration_seconds` of closed connections. An HTTP/2 connection is
        /// active as long as it is open, because its streams share it. This uses the
        /// configuration's connection initializers; an existing one is called first. A second call
        /// for the same registry changes nothing: each connection counts once. Costs one handler
        /// for each connection.
        public mutating func recordConnections(
            registry: Registry = .shared, limit: SeriesLimit = SeriesLimit(count: 1_000)
        ) {
            // Created first: registering may log, which must not happen under the registry's lock.
            let families = ConnectionFamilies(registry, limit: limit)
            let (connections, _) = registry.attachment(named: "http_client_connections") {
                families
            }
            let plain = http1_1ConnectionDebugInitializer
            http1_1ConnectionDebugInitializer = { channel in
                Self.initialize(channel, with: plain).flatMap {
                    channel.eventLoop.submit { connections.watch(channel) }
                }
            }
            let multiplexed = http2ConnectionDebugInitializer
            http2ConnectionDebugInitializer = { channel in
                Self.initialize(channel, with: multiplexed).flatMap {
                    channel.eventLoop.submit { connections.countOnce(channel) }
                }
            }
        }

        private static func initialize(
            _ channel: any Channel, with first: (@Sendable (any Channel) -> EventLoopFuture<Void>)?
        ) -> EventLoopFuture<Void> {
            guard let first else { return channel.eventLoop.makeSucceededVoidFuture() }
            return first(channel).hop(to: channel.eventLoop)
        }
    }

    /// The connection metrics of a registry; thread-safe.
    private final class ConnectionFamilies: Sendable {
        private let open: Family<Gauge>
        private let durations: Histogram
        /// Open connections that are counted, so that each counts once.
        private let known = Guarded<Set<ObjectIdentifier>>([])

        init(_ registry: Registry, limit: SeriesLimit) {
            open = registry.gauge(
                "http_client_open_connections", help: "Open connections.",
                labels: ["http_connection_state", "network_peer_address"], limit: limit)
            durations = registry.histogram(
                "http_client_connection_duration_seconds",
                help: "Lifetime of closed connections.")
        }

        /// Counts a connection that can be idle; called on its event loop.
        ///
        /// A connection with an unknown pipeline counts as active: an observer must not end a
        /// connection.
        func watch(_ channel: any Channel) {
            guard isNew(channel) else { return }
            let pipeline = channel.pipeline.syncOperations
            let (idle, active) = gauges(of: channel)
            let handler = ConnectionHandler(idle: idle, active: active)
            do {
                let codec = try pipeline.handler(
                    type: ByteToMessageHandler<HTTPResponseDecoder>.self)
                try pipeline.addHandler(handler, position: .after(codec))
            } catch {
                return count(channel)
            }
            idle.increment()
            end(channel) { [handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)] in
                handler.value.current.decrement()
            }
        }

        /// Counts a connection whose streams are not observed.
        func countOnce(_ channel: any Channel) {
            if isNew(channel) { count(channel) }
        }

        private func count(_ channel: any Channel) {
            let (_, active) = gauges(of: channel)
            active.increment()
            end(channel) { active.decrement() }
        }

        private func gauges(of channel: any Channel) -> (idle: Gauge, active: Gauge) {
            let address = channel.remoteAddress
            let peer = address?.ipAddress ?? address?.pathname ?? ""
            return (open.with("idle", peer), open.with("active", peer))
        }

        private func isNew(_ channel: any Channel) -> Bool {
            let identity = ObjectIdentifier(channel)
            let isNew = known.withLock { $0.insert(identity).inserted }
            if isNew {
                channel.closeFuture.whenComplete { [self] _ in
                    known.withLock { _ = $0.remove(identity) }
                }
            }
            return isNew
        }

        private func end(_ channel: any Channel, _ leave: @escaping @Sendable () -> Void) {
            let began = ContinuousClock.now
            channel.closeFuture.whenComplete { [durations] _ in
                leave()
                durations.observe(ContinuousClock.now - began)
            }
        }
    }

    /// Observes whether a connection has a request without a response; belongs to the event loop.
    private final class ConnectionHandler: ChannelDuplexHandler {
        typealias InboundIn = HTTPClientResponsePart
        typealias InboundOut = HTTPClientResponsePart
        typealias OutboundIn = HTTPClientRequestPart
        typealias OutboundOut = HTTPClientRequestPart

        private let idle: Gauge
        private let active: Gauge
        /// The gauge that the connection counts in.
        private(set) var current: Gauge

        init(idle: Gauge, active: Gauge) {
            self.idle = idle
            self.active = active
            current = idle
        }

        func write(
            context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?
        ) {
            if case .head = unwrapOutboundIn(data) { move(to: active) }
            context.write(data, promise: promise)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            if case .end = unwrapInboundIn(data) { move(to: idle) }
            context.fireChannelRead(data)
        }

        private func move(to gauge: Gauge) {
            if gauge === current { return }
            current.decrement()
            gauge.increment()
            current = gauge
        }
    }
#endif
