// SPDX-License-Identifier: Apache-2.0
// The event by which a router in the pipeline sets the route of a request.

#if NIO
    /// The route of the oldest request without a response, for services that match routes later
    /// than at the head.
    ///
    /// An outbound user event. Trigger it before the last part of the response is written, or
    /// before the head if the route is one of
    /// ``/OutriderHTTP/HTTPRequestRecorder/Configuration/streamingRoutes``:
    ///
    /// ```swift
    /// context.triggerUserOutboundEvent(HTTPMatchedRoute("/orders/{id}"), promise: nil)
    /// ```
    public struct HTTPMatchedRoute: Sendable {
        /// The template, never the path; nil if no route matched.
        public let template: String?

        /// The route with this template.
        ///
        /// - Parameter template: The template, never the path; nil if no route matched.
        public init(_ template: String?) { self.template = template }
    }
#endif
