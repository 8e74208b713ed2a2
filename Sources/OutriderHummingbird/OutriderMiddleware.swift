// SPDX-License-Identifier: Apache-2.0
// Middleware that records the requests of a Hummingbird router.
//
// Hummingbird writes the head, the body and the end of an ordinary response at once, but not those
// of a body that a closure writes. So a body is wrapped only if its time is worth two more writes:
// if its length is unknown or large. Any other request ends when its response is returned.

#if Hummingbird
    internal import HTTPTypes
    public import Hummingbird
    internal import NIOHTTP1
    public import OutriderHTTP
    internal import OutriderThreading

    /// Records every request to a router, whether or not a route matches.
    ///
    /// Add it first, before other middleware and before the routes: middleware before it is not
    /// timed, and routes that are added earlier are not recorded.
    ///
    /// ```swift
    /// let router = Router()
    /// router.add(middleware: OutriderMiddleware(HTTPRequestRecorder()))
    /// router.get("/orders/{id}") { … }
    /// ```
    ///
    /// - The route is the template of the route, never the path. A matched route stays, even if its
    ///   handler's `FileIO` finds no file and so marks the request as not found.
    /// - The status is that of the response, or of a thrown `HTTPResponseError`, else 500.
    /// - A body of unknown length, or above 256 KiB, is timed until its last byte is passed to the
    ///   connection. If the connection rejects a byte, the client has disconnected. Any other
    ///   request ends when its response is returned; whether the client still receives it is
    ///   unknown.
    /// - A thrown `CancellationError`, and any error in a cancelled task that does not stand for a
    ///   status below 500, counts as a disconnected client: this is how
    ///   `consumeWithCancellationOnInboundClose` ends a handler.
    /// - So does a connection error, by a FIN or a reset, while a request's body may be read. A
    ///   handler that reads a body and calls other services should not rethrow their connection
    ///   errors, because they cannot be told apart.
    /// - A request counts once even if the middleware is added to both the router and a group; a
    ///   warning is logged.
    /// - The size of a request's body is that of `Content-Length`, and that of a response's body is
    ///   what was written; the response to a thrown error counts as empty. Wrapping a request's
    ///   body would count the bytes that are read, but Hummingbird stops the process if such a body
    ///   is replaced and then consumed until the connection closes.
    ///
    /// Thread-safe. Costs as much as ``HTTPRequestRecorder``, plus a task-local value. A body that
    /// is timed to its last byte is written in three steps, even a single buffer, which Hummingbird
    /// would write at once.
    public struct OutriderMiddleware<Context: RequestContext>: RouterMiddleware {
        private let recorder: HTTPRequestRecorder
        private let scheme: URLScheme?

        /// Middleware that records with this recorder.
        ///
        /// - Parameters:
        ///   - recorder: The recorder for the requests; one for each service.
        ///   - scheme: The clients' scheme; nil for that of each request, which is `http` for
        ///     HTTP/1 even if Hummingbird terminates TLS.
        public init(_ recorder: HTTPRequestRecorder, scheme: URLScheme? = nil) {
            self.recorder = recorder
            self.scheme = scheme
        }

        /// Records the request, and returns or throws what `next` does.
        public func handle(
            _ request: Request, context: Context,
            next: (Request, Context) async throws -> Response
        ) async throws -> Response {
            let method = request.method
            guard
                let scope = recorder.scope(
                    method.rawValue, request.head.path ?? "", of: "OutriderMiddleware")
            else { return try await next(request, context) }
            let token = recorder.begin(
                method: method.rawValue,
                scheme: scheme ?? (request.head.scheme == "https" ? .https : .http))
            if recorder.recordsBodySizes { Self.countBody(of: request, token) }
            // Most routers have matched a route by now, others do it in `next`.
            let known = Self.template(context.endpointPath)
            if let known { token.setRoute(template: known) }
            do {
                var response = try await RecordedScope.$current.withValue(scope) {
                    try await next(request, context)
                }
                Self.setRoute(of: token, to: Self.template(context.endpointPath), from: known)
                Self.finish(token, method, request, &response)
                return response
            } catch {
                Self.setRoute(of: token, to: Self.template(context.endpointPath), from: known)
                Self.finish(token, error, request)
                throw error
            }
        }

        private static func countBody(of request: Request, _ token: RequestToken) {
            guard let length = request.headers[.contentLength].flatMap({ Int($0) }) else { return }
            token.addRequestBytes(length)
        }

        /// Ends the request with its response, or lets the response's body end it.
        private static func finish(
            _ token: RequestToken, _ method: HTTPRequest.Method, _ request: Request,
            _ response: inout Response
        ) {
            let (status, length) = (response.status.code, response.body.contentLength)
            // For a HEAD request that a GET route handles, the router drops the body.
            let isHead = method == .head
            if !isHead, length == nil || length ?? 0 > 256 << 10 {
                let recorded = RecordedResponse(
                    token, status: status, traceparent: request.traceparent,
                    readsBody: request.mayHaveBody)
                response.body = recorded.body(response.body)
                return
            }
            token.recordHead(status: status)
            if !isHead { token.addResponseBytes(length ?? 0) }
            token.finish(.completed, traceparent: request.traceparent)
        }

        /// The template of the route that matched; nil if none did.
        private static func template(_ path: String?) -> String? {
            // The router sets this instead of a template, which begins with a slash; `FileIO`
            // overwrites one with it.
            path == "NotFound" ? nil : path
        }

        /// Sets the route that is known after the handler ran.
        ///
        /// An earlier route stays, unless it is a group that contains the new one: the context is
        /// shared, and handlers that respond on behalf of others write to it as well.
        private static func setRoute(
            of token: RequestToken, to template: String?, from known: String?
        ) {
            guard let template, template != known else { return }
            if let known, !template.hasPrefix(known == "/" ? known : known + "/") { return }
            token.setRoute(template: template)
        }

        private static func finish(
            _ token: RequestToken, _ error: any Error, _ request: Request
        ) {
            let isFromBody = request.mayHaveBody && Disconnection.isMeant(by: error)
            let chosen = (error as? any HTTPResponseError)?.status.code
            // Hummingbird's writer writes nothing in a cancelled task, whatever the response.
            if isFromBody || chosen ?? 500 >= 500 && isCancellation(error) {
                return token.finish(.clientDisconnected, traceparent: request.traceparent)
            }
            // The service read a body that is not HTTP; the connection responds with 400.
            token.setStatus(chosen ?? (error is HTTPParserError ? 400 : 500))
            token.finish(.failed(error), traceparent: request.traceparent)
        }
    }

    extension HTTPField.Name {
        fileprivate static let traceparent = HTTPField.Name("traceparent")
    }

    extension Request {
        /// The value of the header; nil if there is none, or more than one.
        ///
        /// A linear search: a lookup by name would first build an index of all fields.
        fileprivate var traceparent: String? {
            var found: String?
            for field in headers where field.name == .traceparent {
                if found != nil { return nil }
                found = field.value
            }
            return found
        }
    }
#endif
