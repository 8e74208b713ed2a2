// SPDX-License-Identifier: Apache-2.0
// Recording of single routes, for servers whose routes are appended in several places.

#if FlyingFox

    public import FlyingFox
    public import OutriderHTTP

    extension HTTPServer {
        /// Appends a route and records its requests, with its path as the template.
        ///
        /// ```swift
        /// await server.appendRoute("GET /orders/:id", recordedBy: agent.http) { request in … }
        /// ```
        ///
        /// A request that the handler passes on (`HTTPUnhandledError`) is recorded by the route
        /// that handles it; see ``appendUnmatchedRoute(recordedBy:)``.
        public func appendRoute(
            _ route: HTTPRoute, recordedBy recorder: HTTPRequestRecorder,
            handler: @escaping @Sendable (HTTPRequest) async throws -> HTTPResponse
        ) {
            appendRoute(route, recordedBy: recorder, to: ClosureHTTPHandler(handler))
        }

        /// Appends a route and records its requests, with its path as the template.
        public func appendRoute(
            _ route: HTTPRoute, recordedBy recorder: HTTPRequestRecorder,
            to handler: some HTTPHandler
        ) {
            appendRoute(route, to: recorder.recording(route.template, handler))
        }

        /// Appends a route that records requests that no earlier route handled, as `_UNMATCHED`.
        ///
        /// Append it last. The server still responds with 404, and requests of scanners become
        /// visible.
        public func appendUnmatchedRoute(recordedBy recorder: HTTPRequestRecorder) {
            appendRoute("*", to: RecordedRoutes(RoutedHTTPHandler(), recorder))
        }
    }

    extension HTTPRequestRecorder {
        /// Returns a handler that records requests under `template`, for routes that are composed
        /// by hand.
        ///
        /// - Parameters:
        ///   - template: The path of the route as it was written: `/orders/:id`. Never the path of
        ///     a request.
        ///   - handler: The handler to record. A request that it passes on is not recorded.
        /// - Returns: The handler to append instead.
        public func recording(
            _ template: String, _ handler: some HTTPHandler
        ) -> some HTTPHandler {
            RecordedHandler(recorder: self, route: route(template), handler: handler)
        }
    }

    private struct RecordedHandler<Handler: HTTPHandler>: HTTPHandler {
        let recorder: HTTPRequestRecorder
        let route: HTTPRequestRecorder.Route
        let handler: Handler

        func handleRequest(_ request: HTTPRequest) async throws -> HTTPResponse {
            guard
                let scope = recorder.scope(
                    request.method.rawValue, request.path, of: RecordedRoutes.name)
            else { return try await handler.handleRequest(request) }
            let token = recorder.begin(method: request.method.rawValue, route: route)
            do {
                let response = try await RecordedScope.$current.withValue(scope) {
                    try await handler.handleRequest(request)
                }
                return token.follow(response, to: request)
            } catch let error as HTTPUnhandledError {
                token.discard()
                throw error
            } catch {
                token.end(throwing: error, for: request)
                throw error
            }
        }
    }

    extension HTTPRoute {
        /// The path as it was written, without method and query.
        var template: String {
            "/" + path.map(\.written).joined(separator: "/")
        }
    }

    extension HTTPRoute.Component {
        fileprivate var written: String {
            switch self {
            case .wildcard: "*"
            case .caseInsensitive(let text): text
            case .parameter(let name): ":" + name
            }
        }
    }

#endif
