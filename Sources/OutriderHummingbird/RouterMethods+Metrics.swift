// SPDX-License-Identifier: Apache-2.0
// `/metrics` in a router of the service's own, for services that must not open a second port.

#if Hummingbird
    internal import HTTPTypes
    public import Hummingbird
    internal import NIOCore
    public import OutriderMetrics

    extension RouterMethods {
        /// Answers scrapes of a registry at this path, GET and HEAD.
        ///
        /// Whoever reaches the router can read it. **Do not show it to the internet**: metrics tell
        /// what a service is made of and how busy it is. Better let the agent serve them at a port
        /// of its own; else put authenticating middleware before it, or keep the path inside at the
        /// proxy.
        ///
        /// Formats, compression, `name[]` and the scrape's timeout are negotiated as at the agent's
        /// own endpoint (docs/endpoint.md). A scrape waits for collectors on a thread of its own, at
        /// most 16 at once; one more is told 503. To have scrapes not recorded themselves, add the
        /// path to `HTTPRequestRecorder.Configuration.excludedRoutes`.
        ///
        /// - Parameters:
        ///   - registry: What is scraped.
        ///   - path: Where; a router has room for one answer at a path, and Hummingbird stops the
        ///     process if there are two.
        @discardableResult
        public func addMetrics(registry: Registry = .shared, path: RouterPath = "/metrics") -> Self
        {
            let scrapes = ScrapeThreads(of: registry)
            get(path) { request, _ in await Self.answer(request, scrapes) }
            head(path) { request, _ in await Self.answer(request, scrapes).createHeadResponse() }
            return self
        }

        private static func answer(_ request: Request, _ scrapes: ScrapeThreads) async -> Response {
            guard let scrape = await scrapes.respond(to: ScrapeRequest(request)) else {
                return Response(
                    status: .serviceUnavailable, headers: [.retryAfter: "1"],
                    body: ResponseBody(byteBuffer: ByteBuffer(string: "too many scrapes at once\n"))
                )
            }
            var headers = HTTPFields()
            for field in scrape.headers {
                if let name = HTTPField.Name(field.name) { headers[name] = field.value }
            }
            let buffer = ByteBuffer(bytes: scrape.body)
            return Response(
                status: HTTPResponse.Status(code: scrape.status), headers: headers,
                body: ResponseBody(contentLength: buffer.readableBytes) { writer in
                    try await writer.write(buffer)
                    try await writer.finish(nil)
                    // Not for a HEAD, whose body is never written, nor for a client that has left.
                    scrape.delivered()
                })
        }
    }

    extension ScrapeRequest {
        /// Names that are looked at; no honest scraper comes near.
        private static var nameLimit: Int { 100 }

        fileprivate init(_ request: Request) {
            accept = request.headers[.accept]
            acceptEncoding = request.headers[.acceptEncoding]
            timeout = HTTPField.Name("X-Prometheus-Scrape-Timeout-Seconds")
                .flatMap { request.headers[$0] }
            // Hummingbird decodes the values of a query, but not the names.
            names = request.uri.queryParameters.lazy
                .filter { $0.key == "name[]" || $0.key.lowercased() == "name%5b%5d" }
                .prefix(Self.nameLimit).map { String($0.value) }
        }
    }
#endif
