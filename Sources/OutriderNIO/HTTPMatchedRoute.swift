// SPDX-License-Identifier: Apache-2.0
// What a router in the pipeline tells the handler that records.

#if NIO
    /// The route of the oldest request that has no answer yet, for services that match routes later
    /// than at the head.
    ///
    /// An outbound user event, to be triggered before the last part of the answer is written, or
    /// before its head if the route is one of
    /// ``/OutriderHTTP/HTTPRequestRecorder/Configuration/streamingRoutes``:
    ///
    /// ```swift
    /// context.triggerUserOutboundEvent(HTTPMatchedRoute("/orders/{id}"), promise: nil)
    /// ```
    public struct HTTPMatchedRoute: Sendable {
        /// The template, never the path; nil for what no route matched.
        public let template: String?

        /// The route with this template.
        ///
        /// - Parameter template: The template, never the path; nil for what no route matched.
        public init(_ template: String?) { self.template = template }
    }
#endif
