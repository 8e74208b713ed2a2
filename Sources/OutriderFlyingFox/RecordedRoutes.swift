// SPDX-License-Identifier: Apache-2.0
// Recording of all routes of a server, each by its template, and of requests that match none.
//
// FlyingFox does not expose the route that it matched, so this matches again, with FlyingFox's own
// function and in its order.

#if FlyingFox

    public import FlyingFox
    public import OutriderHTTP

    extension RoutedHTTPHandler {
        /// Returns these routes with every request recorded by the path of the route that handles
        /// it.
        ///
        /// ```swift
        /// var routes = RoutedHTTPHandler()
        /// routes.appendRoute("GET /orders/:id") { request in … }
        /// let server = HTTPServer(port: 8080, handler: routes.recorded(by: agent.http))
        /// ```
        ///
        /// A request is recorded once: if a handler passes it on (`HTTPUnhandledError`), then by
        /// the route that handles it in the end. Requests that no route handles count as
        /// `_UNMATCHED`, with the 404 that the server sends. Routes that are appended later are not
        /// included. A request counts once even if an inner handler is recorded too; a warning is
        /// then logged.
        ///
        /// - Parameter recorder: The recorder for the requests.
        /// - Returns: A handler for the whole server.
        public func recorded(by recorder: HTTPRequestRecorder) -> RecordedRoutes {
            RecordedRoutes(self, recorder)
        }
    }

    /// Routes whose requests are recorded; see ``FlyingFox/RoutedHTTPHandler/recorded(by:)``.
    public struct RecordedRoutes: HTTPHandler {
        /// The name of this adapter in warnings, also for single routes.
        static let name = "OutriderFlyingFox"

        private let recorder: HTTPRequestRecorder
        private let entries: [Entry]

        private struct Entry {
            let route: HTTPRoute
            let handler: any HTTPHandler
            let recorded: HTTPRequestRecorder.Route
        }

        init(_ routes: RoutedHTTPHandler, _ recorder: HTTPRequestRecorder) {
            self.recorder = recorder
            entries = routes.map { route, handler in
                Entry(route: route, handler: handler, recorded: recorder.route(route.template))
            }
        }

        /// Calls the first route that handles the request, and records it.
        public func handleRequest(_ request: HTTPRequest) async throws -> HTTPResponse {
            guard
                let scope = recorder.scope(request.method.rawValue, request.path, of: Self.name)
            else { return try await respond(request, nil) }
            let token = recorder.begin(method: request.method.rawValue)
            do {
                let response = try await RecordedScope.$current.withValue(scope) {
                    try await respond(request, token)
                }
                return token.follow(response, to: request)
            } catch {
                token.end(throwing: error, for: request)
                throw error
            }
        }

        /// The response of the first route that has one.
        private func respond(
            _ request: HTTPRequest, _ token: RequestToken?
        ) async throws -> HTTPResponse {
            for entry in entries {
                if let response = try await respond(request, by: entry, token) { return response }
            }
            throw HTTPUnhandledError()
        }

        /// The response of one route; nil if it does not match or passes the request on.
        private func respond(
            _ request: HTTPRequest, by entry: Entry, _ token: RequestToken?
        ) async throws -> HTTPResponse? {
            do {
                return try await RoutedHTTPHandler.handleMatchedRequest(request, to: entry.route) {
                    token?.setRoute(entry.recorded)
                    return try await entry.handler.handleRequest($0)
                }
            } catch is HTTPUnhandledError {
                token?.setRoute(recorder.unmatched)
                return nil
            }
        }
    }

#endif
