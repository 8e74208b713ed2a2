// SPDX-License-Identifier: Apache-2.0
// A scrape as an HTTP response, to be sent by whatever server the service has.

package import OutriderThreading

/// The answer to a scrape: status, headers and body.
///
/// ```swift
/// router.get("/metrics") { request, _ in
///     let scrape = Registry.shared.respond(
///         accept: request.headers[.accept], acceptEncoding: request.headers[.acceptEncoding])
///     return Response(status: .init(code: scrape.status), …, body: .init(bytes: scrape.body))
/// }
/// ```
public struct ScrapeResponse: Sendable {
    /// The HTTP status: 200, or 503 if there is no memory for the exposition.
    public let status: Int
    /// Header fields, `Content-Type` always among them; without `Content-Length`.
    public let headers: [(name: String, value: String)]
    /// The exposition, compressed if the headers say so.
    ///
    /// Of more than 128 KiB this is a copy, made each time.
    public var body: [UInt8] { bytes.array }

    /// The same, as it is.
    package let bytes: BodyBytes
    /// Nil of a response without an exposition.
    fileprivate let delivery: Delivery?

    /// Notes that the client has the whole body; for a response that was made with `awaitsDelivery`.
    ///
    /// Thread-safe; a second call changes nothing.
    public func delivered() { delivery?.confirm() }
}

extension ScrapeResponse {
    fileprivate static let lacksMemory = ScrapeResponse(
        status: 503,
        headers: [("Content-Type", "text/plain; charset=utf-8"), ("Retry-After", "1")],
        bytes: .array(Array("There is no memory for the exposition.\n".utf8)), delivery: nil)
}

/// What scrapes that come together share.
struct SharedRender: Sendable {
    /// What two scrapes must agree in to share.
    struct Key: Hashable, Sendable {
        let style: ExpositionStyle
        let isCompressed: Bool
        let names: [String]
        /// Whoever gives collectors more time must not get what was left out for lack of it.
        let limit: Duration
    }

    let body: BodyBytes
    let isCompressed: Bool
    /// Confirmed by the first of those who share it.
    let delivery: Delivery
}

extension Registry {
    /// Scrapes this registry, for a server of the service's own.
    ///
    /// Runs the collectors, prints every family and, if asked, compresses it. Blocks for as long as
    /// the collectors take, at most for the limit. Thread-safe; writers never wait for it, and calls
    /// that come together share one render. Those that differ are printed one after the other. Cost:
    /// docs/performance.md.
    ///
    /// - Parameters:
    ///   - accept: The request's `Accept`: OpenMetrics or the protobuf format for those who prefer
    ///     it, else the text format 0.0.4. Never a refusal: whoever asks for none gets the text format.
    ///   - acceptEncoding: The request's `Accept-Encoding`; gzip if that is wanted, and pays.
    ///   - names: The values of the query's `name[]`: families to be printed, by the name of the
    ///     family or of one of its samples. None means all; unknown ones are passed over.
    ///   - scrapeTimeout: The request's `X-Prometheus-Scrape-Timeout-Seconds`. A collector that
    ///     has not answered half a second before that, or within 9.5 s, is left out and counted.
    ///   - creationTimes: Whether OpenMetrics has `_created` samples, which tell when each counter
    ///     and histogram was made. They double the lines of counters.
    ///   - awaitsDelivery: Whether the caller says by ``ScrapeResponse/delivered()`` that the client has the
    ///     body. Only then may series that are idle (``SeriesLimit/idleTime``) be forgotten for it. Pass
    ///     true for a HEAD, and where the server knows that a body was sent. Without, what is returned
    ///     counts as read.
    public func respond(
        accept: String? = nil, acceptEncoding: String? = nil, names: [String] = [],
        scrapeTimeout: String? = nil, creationTimes: Bool = false, awaitsDelivery: Bool = false
    ) -> ScrapeResponse {
        let negotiated = NegotiatedFormat.best(for: accept)
        let style = ExpositionStyle(
            isOpenMetrics: negotiated.format.isOpenMetrics,
            escaping: negotiated.escaping ?? .underscores,
            isProtobuf: negotiated.format == .protobuf, showsCreationTimes: creationTimes)
        let key = SharedRender.Key(
            style: style, isCompressed: AcceptEncoding.allowsGzip(acceptEncoding), names: names,
            limit: ScrapeTimeout.limit(scrapeTimeout))
        let rendered = renders.share(key, within: key.limit) { limit in
            let scrape = Scrape(self, style: style, names: names)
            return scrape.render(within: limit) { memory, count in
                let compressed =
                    key.isCompressed ? ContentCoding.gzip(memory, count: count) : nil
                return SharedRender(
                    body: compressed ?? BodyBytes(memory, count: count),
                    isCompressed: compressed != nil, delivery: scrape.delivery)
            }
        }
        guard let rendered else { return .lacksMemory }
        var headers = [
            (name: "Content-Type", value: negotiated.contentType),
            (name: "Vary", value: "Accept, Accept-Encoding"),
            (name: "Cache-Control", value: "no-store"),
        ]
        if rendered.isCompressed { headers.append((name: "Content-Encoding", value: "gzip")) }
        if !awaitsDelivery { rendered.delivery.confirm() }
        return ScrapeResponse(
            status: 200, headers: headers, bytes: rendered.body, delivery: rendered.delivery)
    }

    /// The whole exposition in the text format, for tests and logs; empty if there is no memory for it.
    public func text() -> String {
        scrape(ExpositionStyle()).text() ?? ""
    }

    /// The same, with room for so many bytes to start with.
    package func text(capacity: Int) -> String {
        scrape(ExpositionStyle()).text(capacity: capacity) ?? ""
    }

    /// The whole exposition in OpenMetrics, for tests and logs; empty if there is no memory for it.
    ///
    /// - Parameter creationTimes: As in
    ///   ``respond(accept:acceptEncoding:names:scrapeTimeout:creationTimes:awaitsDelivery:)``.
    public func openMetricsText(creationTimes: Bool = false) -> String {
        let style = ExpositionStyle(isOpenMetrics: true, showsCreationTimes: creationTimes)
        return scrape(style).text() ?? ""
    }

    private func scrape(_ style: ExpositionStyle) -> Scrape {
        Scrape(self, style: style, names: [])
    }
}
