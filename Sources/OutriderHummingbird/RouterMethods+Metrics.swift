// SPDX-License-Identifier: Apache-2.0
// `/metrics` in the service's own router, for services that must not open a second port.

#if Hummingbird
    internal import HTTPTypes
    public import Hummingbird
    internal import NIOCore
    public import OutriderMetrics

    extension RouterMethods {
        /// Serves scrapes of a registry at this path, for GET and HEAD.
        ///
        /// Any client that reaches the router can read it. **Do not expose it to the internet**:
        /// metrics reveal how a service is built and how busy it is. Prefer the agent's own port;
        /// otherwise, put authenticating middleware before it, or block the path at the proxy.
        ///
        /// Formats, compression, `name[]` and the scrape timeout are negotiated as at the agent's
        /// endpoint (docs/endpoint.md). A scrape waits for collectors on its own thread, at most 16
        /// at once; others get status 503. To exclude scrapes from the recorded requests, add the
        /// path to `HTTPRequestRecorder.Configuration.excludedRoutes`.
        ///
        /// - Parameters:
        ///   - registry: The registry to scrape.
        ///   - path: The path; a router accepts one handler for each path, and Hummingbird stops
        ///     the process if there are two.
        @discardableResult
        public func addMetrics(registry: Registry = .shared, path: RouterPath = "/metrics") -> Self
        {
            let scrapes = ScrapeThreads(of: registry)
            get(path) { request, _ in await Self.respond(request, scrapes) }
            head(path) { request, _ in await Self.respond(request, scrapes).createHeadResponse() }
            return self
        }

        private static func respond(_ request: Request, _ scrapes: ScrapeThreads) async -> Response
        {
            guard let scrape = await scrapes.respond(to: ScrapeRequest(request)) else {
                return Response(
                    status: .serviceUnavailable, headers: [.retryAfter: "1"],
                    body: ResponseBody(
                        byteBuffer: ByteBuffer(string: "Too many concurrent scrapes.\n"))
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
                    // Not called for a HEAD, whose body is never written, or for a client that has
                    // left.
                    scrape.confirmDelivery()
                })
        }
    }

    extension ScrapeRequest {
        /// Names that are read, far above the number in legitimate scrapes.
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
