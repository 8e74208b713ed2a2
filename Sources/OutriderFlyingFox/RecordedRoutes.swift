// SPDX-License-Identifier: Apache-2.0
// All routes of a server, each timed under its own template, and what matches none of them.
//
// FlyingFox keeps the route that it matched to itself, so the matching is done here, with its own
// function and in its own order.

#if FlyingFox

    public import FlyingFox
    public import OutriderHTTP

    extension RoutedHTTPHandler {
        /// These routes, with every request recorded under the path of the route that answers it.
        ///
        /// ```swift
        /// var routes = RoutedHTTPHandler()
        /// routes.appendRoute("GET /orders/:id") { request in … }
        /// let server = HTTPServer(port: 8080, handler: routes.recorded(by: agent.http))
        /// ```
        ///
        /// A request is recorded once: where a handler passes it on (`HTTPUnhandledError`), under
        /// the route that answers in the end. What no route answers counts as `_UNMATCHED`, with
        /// the 404 that the server sends. Routes that are appended later are not in it. A request counts
        /// once even if a handler within is recorded too; the log has a warning then.
        ///
        /// - Parameter recorder: What records.
        /// - Returns: A handler for the whole server.
        public func recorded(by recorder: HTTPRequestRecorder) -> RecordedRoutes {
            RecordedRoutes(self, recorder)
        }
    }

    /// Routes whose requests are recorded; see ``FlyingFox/RoutedHTTPHandler/recorded(by:)``.
    public struct RecordedRoutes: HTTPHandler {
        /// What a warning calls them, and single routes too.
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

        /// Answers by the first route that does, and records it.
        public func handleRequest(_ request: HTTPRequest) async throws -> HTTPResponse {
            guard
                let scope = recorder.scope(request.method.rawValue, request.path, of: Self.name)
            else { return try await answer(request, nil) }
            let token = recorder.begin(method: request.method.rawValue)
            do {
                let response = try await RecordedScope.$current.withValue(scope) {
                    try await answer(request, token)
                }
                return token.follow(response, to: request)
            } catch {
                token.end(throwing: error, for: request)
                throw error
            }
        }

        /// The answer of the first route that has one.
        private func answer(
            _ request: HTTPRequest, _ token: RequestToken?
        ) async throws -> HTTPResponse {
            for entry in entries {
                if let response = try await answer(request, by: entry, token) { return response }
            }
            throw HTTPUnhandledError()
        }

        /// The answer of one route; nil if it does not match or passes the request on.
        private func answer(
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
