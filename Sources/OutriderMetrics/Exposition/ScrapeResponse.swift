// SPDX-License-Identifier: Apache-2.0
// A scrape as an HTTP response, for any server that the service uses.

package import OutriderThreading

/// The response to a scrape: status, headers and body.
///
/// ```swift
/// router.get("/metrics") { request, _ in
///     let scrape = Registry.shared.respond(
///         accept: request.headers[.accept], acceptEncoding: request.headers[.acceptEncoding])
///     return Response(status: .init(code: scrape.status), …, body: .init(bytes: scrape.body))
/// }
/// ```
public struct ScrapeResponse: Sendable {
    /// The HTTP status: 200, or 503 if memory is short.
    public let status: Int
    /// The header fields, always with `Content-Type`, without `Content-Length`.
    public let headers: [(name: String, value: String)]
    /// The exposition, compressed if the headers say so.
    ///
    /// If it has more than 128 KiB, each access makes a copy.
    public var body: [UInt8] { bytes.array }

    /// The same, without a copy.
    package let bytes: BodyBytes
    /// Nil if the response has no exposition.
    fileprivate let delivery: Delivery?

    /// Notes that the client received the whole body; for a response created with `awaitsDelivery`.
    ///
    /// Thread-safe; further calls have no effect.
    public func confirmDelivery() { delivery?.confirm() }
}

extension ScrapeResponse {
    fileprivate static let lacksMemory = ScrapeResponse(
        status: 503,
        headers: [("Content-Type", "text/plain; charset=utf-8"), ("Retry-After", "1")],
        bytes: .array(Array("Out of memory for the exposition.\n".utf8)), delivery: nil)
}

/// The result of a render, which concurrent scrapes share.
struct SharedRender: Sendable {
    /// The parameters that must be equal for two scrapes to share a render.
    struct Key: Hashable, Sendable {
        let style: ExpositionStyle
        let isCompressed: Bool
        let names: [String]
        /// A scrape with a longer limit must not share a render that left collectors out early.
        let limit: Duration
    }

    let body: BodyBytes
    let isCompressed: Bool
    /// Confirmed by the first of the scrapes that share it.
    let delivery: Delivery
}

extension Registry {
    /// Scrapes this registry, for a service that has its own HTTP server.
    ///
    /// Calls the collectors, writes every family and, if requested, compresses the result. Blocks
    /// while the collectors run, at most until the limit. Thread-safe; recording threads never wait
    /// for it. Concurrent calls with the same parameters share one render; others are rendered one
    /// after the other. Cost: docs/performance.md.
    ///
    /// - Parameters:
    ///   - accept: The request's `Accept`: OpenMetrics or the protobuf format if it prefers one of
    ///     them, otherwise the text format 0.0.4. A request is never refused: if it accepts none of
    ///     these, it gets the text format.
    ///   - acceptEncoding: The request's `Accept-Encoding`; gzip if it is accepted and makes the
    ///     body smaller.
    ///   - names: The values of `name[]` in the query: the families to expose, by the name of the
    ///     family or of one of its samples. If empty, all; unknown names are ignored.
    ///   - scrapeTimeout: The request's `X-Prometheus-Scrape-Timeout-Seconds`. A collector that has
    ///     not returned half a second before that, or within 9.5 s, is left out and counted.
    ///   - creationTimes: Whether OpenMetrics has `_created` samples, the creation times of
    ///     counters and histograms. They double the lines of counters.
    ///   - awaitsDelivery: Whether the caller confirms delivery with
    ///     ``ScrapeResponse/confirmDelivery()``. Only a delivered scrape lets idle series expire
    ///     (``SeriesLimit/idleTime``). Pass true for a HEAD request, and if the server knows when a
    ///     body was sent. If false, the returned response counts as delivered.
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

    /// The whole exposition in the text format, for tests and logs; empty if memory is short.
    public func text() -> String {
        scrape(ExpositionStyle()).text() ?? ""
    }

    /// The same, with an initial capacity in bytes.
    package func text(capacity: Int) -> String {
        scrape(ExpositionStyle()).text(capacity: capacity) ?? ""
    }

    /// The whole exposition in OpenMetrics, for tests and logs; empty if memory is short.
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
