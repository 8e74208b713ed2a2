// SPDX-License-Identifier: Apache-2.0
// A scrape as an HTTP response, to be sent by whatever server the service has.

/// The answer to a scrape: status, headers and body.
///
/// ```swift
/// router.get("/metrics") { request, _ in
///     let scrape = Registry.shared.respond(accept: request.headers[.accept])
///     return Response(status: .init(code: scrape.status), …, body: .init(bytes: scrape.body))
/// }
/// ```
public struct ScrapeResponse: Sendable {
    /// The HTTP status: 200.
    public let status: Int
    /// Header fields, `Content-Type` always among them; without `Content-Length`.
    public let headers: [(name: String, value: String)]
    /// The exposition.
    public let body: [UInt8]
}

extension Registry {
    /// Scrapes this registry, for a server of the service's own.
    ///
    /// Runs the collectors and prints every family on the calling thread. Thread-safe; writers
    /// never wait for it. Cost: docs/performance.md.
    ///
    /// - Parameters:
    ///   - accept: The request's `Accept`. The answer is the text format 0.0.4, which every
    ///     scraper reads, whatever this says.
    ///   - acceptEncoding: The request's `Accept-Encoding`. The answer is not compressed.
    ///   - names: The values of the query's `name[]`: families to be printed, by the name of the
    ///     family or of one of its samples. None means all; unknown ones are passed over.
    public func respond(
        accept: String? = nil, acceptEncoding: String? = nil, names: [String] = []
    ) -> ScrapeResponse {
        ScrapeResponse(
            status: 200,
            headers: [
                ("Content-Type", TextExposition.contentType), ("Cache-Control", "no-store"),
            ],
            body: Scrape(self, names: names).render())
    }

    /// The whole exposition in the text format, for tests and logs.
    public func text() -> String {
        String(decoding: Scrape(self, names: []).render(), as: UTF8.self)
    }

    /// The same, with room for so many bytes to start with.
    package func text(capacity: Int) -> String {
        String(decoding: Scrape(self, names: []).render(capacity: capacity), as: UTF8.self)
    }
}
