// SPDX-License-Identifier: Apache-2.0
// Records the requests that a Hummingbird router answers.
//
// Hummingbird writes the head, the body and the end of an ordinary answer at once, but not those of
// a body that a closure writes. So a body is wrapped only where its time is worth the two more
// writes: where its length is unknown or large. Any other request ends when its answer returns.

#if Hummingbird
    internal import HTTPTypes
    public import Hummingbird
    internal import NIOHTTP1
    public import OutriderHTTP
    internal import OutriderThreading

    /// Records every request that a router answers, whether a route matches or not.
    ///
    /// Add it first, before other middleware and before the routes: what stands before it is not
    /// timed, and routes that are added earlier are not recorded.
    ///
    /// ```swift
    /// let router = Router()
    /// router.add(middleware: OutriderMiddleware(HTTPRequestRecorder()))
    /// router.get("/orders/{id}") { … }
    /// ```
    ///
    /// - The route is the template of the route, never the path. A route that was matched stays, also if
    ///   its handler's `FileIO` finds no file and so marks the request as not found.
    /// - The status is that of the answer, or of a thrown `HTTPResponseError`, else 500.
    /// - A body of unknown length, or above 256 KiB, is timed until its last byte is handed to the
    ///   connection. If the connection refuses a byte, its client has disconnected. Any other
    ///   request ends when its answer is returned; whether the client still hears it is not seen.
    /// - A thrown `CancellationError`, and any error in a cancelled task that does not stand for a status
    ///   below 500, means that the client has disconnected: so
    ///   `consumeWithCancellationOnInboundClose` ends a handler.
    /// - An error of the connection while a request's body may be read, by a FIN or a reset, means it too.
    ///   A handler that reads a body and calls other services should not let their connections'
    ///   errors through as they are, since they cannot be told apart.
    /// - A request counts once even if the middleware is at the router and at a group; the log has a
    ///   warning.
    /// - The size of a request's body is what `Content-Length` says, and that of an answer what was
    ///   written; the answer to a thrown error counts as empty. Wrapping a request's body would
    ///   count what is read, but Hummingbird stops the process if such a body is replaced and then
    ///   consumed until the connection closes.
    ///
    /// Thread-safe. Costs what ``HTTPRequestRecorder`` costs, and a task-local value; a body that is
    /// timed to its last byte is written in three steps even if it lies in one buffer, which
    /// Hummingbird else writes at once.
    public struct OutriderMiddleware<Context: RequestContext>: RouterMiddleware {
        private let recorder: HTTPRequestRecorder
        private let scheme: URLScheme?

        /// Middleware that records with this recorder.
        ///
        /// - Parameters:
        ///   - recorder: What records; one for a service.
        ///   - scheme: What clients speak; nil for what the request says, which is `http` for
        ///     HTTP/1 even where Hummingbird does TLS.
        public init(_ recorder: HTTPRequestRecorder, scheme: URLScheme? = nil) {
            self.recorder = recorder
            self.scheme = scheme
        }

        /// Records what `next` answers, and returns or throws the same.
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
            // Most routers have matched by now, others do it below.
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

        /// Ends the request with its answer, or lets the answer's body end it.
        private static func finish(
            _ token: RequestToken, _ method: HTTPRequest.Method, _ request: Request,
            _ response: inout Response
        ) {
            let (status, length) = (response.status.code, response.body.contentLength)
            // The router drops the body of a GET that it answers a HEAD with.
            let isHead = method == .head
            if !isHead, length == nil || length ?? 0 > 256 << 10 {
                let answer = RecordedAnswer(
                    token, status: status, traceparent: request.traceparent,
                    readsBody: request.mayHaveBody)
                response.body = answer.body(response.body)
                return
            }
            token.noteHead(status: status)
            if !isHead { token.addResponseBytes(length ?? 0) }
            token.finish(.completed, traceparent: request.traceparent)
        }

        /// The template of the route that answered; nil if none matched.
        private static func template(_ path: String?) -> String? {
            // What the router puts in place of a template, which begins with a slash, and what `FileIO`
            // writes over one.
            path == "NotFound" ? nil : path
        }

        /// Sets the route that is known after the answer.
        ///
        /// One that was known before stays, unless it is that of a group, and this one within it: the
        /// context is shared, and handlers that answer for others write to it too.
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
            // Hummingbird's writer writes nothing in a cancelled task, whatever the answer would be.
            if isFromBody || chosen ?? 500 >= 500 && isCancellation(error) {
                return token.finish(.clientDisconnected, traceparent: request.traceparent)
            }
            // The service read a body that is not HTTP; the connection answers for it.
            token.setStatus(chosen ?? (error is HTTPParserError ? 400 : 500))
            token.finish(.failed(error), traceparent: request.traceparent)
        }
    }

    extension HTTPField.Name {
        fileprivate static let traceparent = HTTPField.Name("traceparent")
    }

    extension Request {
        /// The header; nil if there is none, or more than one.
        ///
        /// Looked for one by one: a look-up by name would first make an index of all fields.
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
