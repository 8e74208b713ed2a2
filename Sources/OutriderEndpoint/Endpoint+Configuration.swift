// SPDX-License-Identifier: Apache-2.0
// How an endpoint listens, what it bounds, and whom it lets in.

package import OutriderThreading

extension Endpoint {
    /// How an endpoint listens, what it bounds, and whom it lets in.
    public struct Configuration: Sendable {
        /// Where to listen.
        public var address: ListenAddress
        /// The heading of the landing page.
        public var title = "Outrider"
        /// Sentences that the landing page shows: what an operator should know of the service now.
        ///
        /// Called for each request of `/`, on its thread, with its audience: operators if ``access`` would
        /// serve it their pages, else everyone who can reach the endpoint. Plain text, which is escaped
        /// there. At most fifty are shown, each cut to 1,000 characters.
        public var notices: @Sendable (PageAudience) -> [String] = { _ in [] }
        /// What clients may take of connections and time.
        public var limits = Limits()
        /// Who may see the pages for operators.
        public var access = AccessRules()
        /// Receives what the library says about bad requests and failures, not rate-limited.
        public var log: @Sendable (String) -> Void = { _ in }
        /// Told of each answer: the page's path, or `_UNMATCHED` or `_REFUSED`, and the status.
        public var onAnswer: @Sendable (_ page: String, _ status: Int) -> Void = { _, _ in }
        /// Told of each connection that is ended before its client ends it.
        public var onCut: @Sendable (CutReason) -> Void = { _ in }
        /// Told of each descriptor of the endpoint's that other code of the process has closed, once that is seen.
        public var onLostDescriptor: @Sendable () -> Void = {}
        /// Told once if nobody is accepted any more, since other code of the process has closed the socket.
        package var onLostListener: @Sendable () -> Void = {}
        /// The clock of every deadline, except the idle timeout, which libmicrohttpd keeps.
        package var time: any TimeSource = SystemTime()

        /// How to run libmicrohttpd; nil finds that out.
        package var habits: Habits?

        /// The defaults, on this address.
        public init(address: ListenAddress) {
            self.address = address
        }
    }

    /// What clients may take of connections and time.
    ///
    /// A value that makes no sense counts as the nearest one that does.
    public struct Limits: Sendable {
        /// Connections at one time.
        ///
        /// One more costs the place of the connection that has waited longest without a request, 0.1 s at least, first
        /// of the address with the most. Should there be none, up to twice as many are let in, and up to four times
        /// as many from addresses that have hardly any. Others are told 503 at once.
        public var connections = 64
        /// Connections at one time from one address, or from one network of 64 bits in IPv6.
        ///
        /// One more costs that address the one that has waited longest. Those that have had no time to ask, or are
        /// being answered, stay: up to twice as many, three times while some have just come. Others are told
        /// 503 at once.
        public var connectionsPerAddress = 32
        /// Processor time that the requests of one address may take for one page, as a share of one processor.
        ///
        /// One second may be taken at once. More requests are told 429 after a quarter of a second; those for pages
        /// of probes are answered later. All addresses together may take twice as much for a page; then those that
        /// had a part in it are told 503. What a page leaves to other threads does not count.
        public var processorShare = 0.25
        /// Bytes of all bodies that are being sent at one time; answers that share a body count once.
        ///
        /// One answer, of whatever size, is always under way. More are told 503.
        public var bodyBytes = 64 << 20
        /// How long a client may take to send a whole request after it has connected.
        public var headerTimeout: Duration = .seconds(10)
        /// A connection on which nothing moves for this long is closed, in whole seconds; 75 s unless it is set.
        ///
        /// Longer than the usual scrape intervals, and none of them: where a scraper asks at the moment at which its
        /// connection is closed, it loses the scrape, or has to send the request again.
        public var idleTimeout: Duration {
            get { chosenIdleTimeout ?? .seconds(75) }
            set { chosenIdleTimeout = newValue }
        }
        /// The idle timeout that was set; nil asks the environment, then takes the default.
        package var chosenIdleTimeout: Duration?
        /// How long a client may take to read a whole answer.
        public var answerTimeout: Duration = .seconds(300)
        /// How long ``Endpoint/stop()`` waits for requests in flight, at most 0.9 s.
        public var drainTimeout: Duration = .milliseconds(700)

        /// The defaults.
        public init() {}

        /// The same, with every value in a range that works.
        var sane: Limits {
            func sane(_ duration: Duration) -> Duration {
                min(max(duration, .milliseconds(10)), .seconds(86_400))
            }
            var limits = self
            limits.connections = min(max(connections, 1), 10_000)
            limits.connectionsPerAddress = min(max(connectionsPerAddress, 1), 10_000)
            limits.processorShare = processorShare >= 0.001 ? min(processorShare, 10_000) : 0.001
            limits.bodyBytes = max(bodyBytes, 1 << 20)
            limits.headerTimeout = sane(headerTimeout)
            limits.idleTimeout = max(sane(idleTimeout), .seconds(1))
            limits.answerTimeout = sane(answerTimeout)
            limits.drainTimeout = min(max(drainTimeout, .zero), .seconds(1))
            return limits
        }
    }
}
