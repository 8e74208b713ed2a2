// SPDX-License-Identifier: Apache-2.0
// Configuration of an endpoint: address, limits and access.

package import OutriderThreading

extension Endpoint {
    /// Configuration of an endpoint: address, limits and access.
    public struct Configuration: Sendable {
        /// Where to listen.
        public var address: ListenAddress
        /// The heading of the landing page.
        public var title = "Outrider"
        /// Sentences on the landing page: what an operator should know about the service now.
        ///
        /// Called for each request of `/`, on its thread, with its audience: operators if
        /// ``access`` would serve it the operator pages, else everyone who can reach the endpoint.
        /// The sentences are plain text and are escaped. At most fifty are shown, each cut to 1,000
        /// characters.
        public var notices: @Sendable (PageAudience) -> [String] = { _ in [] }
        /// Limits on what clients may use.
        public var limits = Limits()
        /// The rules for access to the operator pages.
        public var access = AccessRules()
        /// Receives libmicrohttpd's messages about bad requests and failures, without a rate limit.
        public var log: @Sendable (String) -> Void = { _ in }
        /// Called for each response with the page's path, `_UNMATCHED` or `_REFUSED`, and the
        /// status.
        public var onResponse: @Sendable (_ page: String, _ status: Int) -> Void = { _, _ in }
        /// Called for each connection that is closed before its client closes it.
        public var onCut: @Sendable (CutReason) -> Void = { _ in }
        /// Called for each descriptor of the endpoint that other code of the process has closed,
        /// once that is detected.
        public var onLostDescriptor: @Sendable () -> Void = {}
        /// Called once if the endpoint no longer accepts, because other code of the process closed
        /// its socket.
        package var onLostListener: @Sendable () -> Void = {}
        /// The clock of all deadlines, except the idle timeout, which libmicrohttpd keeps.
        package var time: any TimeSource = SystemTime()

        /// How to run libmicrohttpd; if nil, the endpoint detects it.
        package var quirks: Quirks?

        /// The defaults, on this address.
        public init(address: ListenAddress) {
            self.address = address
        }
    }

    /// Limits on the connections, processor time, memory and time that clients may use.
    ///
    /// A value out of range is clamped.
    public struct Limits: Sendable {
        /// Connections at one time.
        ///
        /// A newcomer beyond this limit displaces the connection that has waited longest without a
        /// request, at least 0.1 s, first one of the address with the most. If there is none, up to
        /// twice as many are admitted, and up to four times as many from addresses that have hardly
        /// any. Others get status 503 at once.
        public var connections = 64
        /// Connections at one time from one address, or from one 64-bit network in IPv6.
        ///
        /// A newcomer beyond this limit displaces the connection of its address that has waited
        /// longest. Connections that are too new to have sent a request, or are being answered,
        /// stay: up to twice as many, three times while some are new. Others get status 503 at
        /// once.
        public var connectionsPerAddress = 32
        /// Processor time that the requests of one address may take for one page, as a share of one
        /// processor.
        ///
        /// One second may be taken at once. After that, requests get status 429 after a quarter of
        /// a second; those for probe pages are delayed instead. All addresses together may take
        /// twice as much for a page; after that, addresses that contributed get 503. Work that a
        /// page leaves to other threads is not counted.
        public var cpuShare = 0.25
        /// Bytes of all response bodies that are being sent; responses that share a body count it
        /// once.
        ///
        /// At most half of them for one address. The first body of an address is always admitted
        /// while the others do not exceed the limit. Other responses wait up to 3 s, then get status
        /// 503.
        public var bodyBytes = 64 << 20
        /// How long a client may take to send a whole request after it has connected.
        public var headerTimeout: Duration = .seconds(10)
        /// How long a connection may be idle before it is closed, in whole seconds; 75 s by
        /// default.
        ///
        /// The default is longer than the usual scrape intervals and equal to none of them: a
        /// scraper that sends a request at the moment when its connection is closed loses the
        /// scrape, or has to retry.
        public var idleTimeout: Duration {
            get { chosenIdleTimeout ?? .seconds(75) }
            set { chosenIdleTimeout = newValue }
        }
        /// The idle timeout that was set; nil takes it from the environment, else the default.
        package var chosenIdleTimeout: Duration?
        /// How long a client may take to read a whole response.
        public var responseTimeout: Duration = .seconds(300)
        /// How long ``Endpoint/stop()`` waits for requests in flight, at most 0.9 s.
        public var drainTimeout: Duration = .milliseconds(700)

        /// The defaults.
        public init() {}

        /// A copy with each value clamped to a range that works.
        var clamped: Limits {
            func clamped(_ duration: Duration) -> Duration {
                min(max(duration, .milliseconds(10)), .seconds(86_400))
            }
            var limits = self
            limits.connections = min(max(connections, 1), 10_000)
            limits.connectionsPerAddress = min(max(connectionsPerAddress, 1), 10_000)
            limits.cpuShare = cpuShare >= 0.001 ? min(cpuShare, 10_000) : 0.001
            limits.bodyBytes = max(bodyBytes, 1 << 20)
            limits.headerTimeout = clamped(headerTimeout)
            limits.idleTimeout = max(clamped(idleTimeout), .seconds(1))
            limits.responseTimeout = clamped(responseTimeout)
            limits.drainTimeout = min(max(drainTimeout, .zero), .seconds(1))
            return limits
        }
    }
}
