// SPDX-License-Identifier: Apache-2.0
// Ends requests by what their handlers return or throw.
//
// The server sends a returned response without further callbacks. A body in memory is sent at once,
// and its request ends here; a large or streamed body is recorded to its last byte.

#if FlyingFox

    internal import FlyingFox
    internal import OutriderHTTP

    extension RequestToken {
        /// The largest body of known size whose request ends when the handler returns.
        ///
        /// Socket buffers hold about as much, so observing it would cost more than it reveals.
        private static let followedFrom = 256 << 10

        /// Ends the request, or lets the last byte of the response end it.
        ///
        /// - Returns: The response to pass on.
        func follow(_ response: HTTPResponse, to request: HTTPRequest) -> HTTPResponse {
            countBody(of: request)
            // The server cancels a handler that times out, and responds with 500 whatever it
            // returns.
            if Task.isCancelled {
                end(throwing: CancellationError(), for: request)
                return response
            }
            var response = response
            let status = response.statusCode.code
            switch response.payload {
            case .webSocket(let handler):
                response.payload = .webSocket(RecordedSocket(handler: handler, token: self))
            case .httpBody(let body):
                if let count = body.count, count <= Self.followedFrom {
                    recordHead(status: status)
                    addResponseBytes(count)
                    finish(.completed, traceparent: request.traceparent)
                } else {
                    setStatus(status)
                    // The connection's task sends it, outside of the handler's trace.
                    captureTrace()
                    let watch = BodyWatch(
                        self, status: status, request.headers, readsBody: request.mayHaveBody)
                    response.payload = .httpBody(body.recorded(by: watch))
                }
            }
            return response
        }

        /// Ends a request whose handler threw: 404 if no route handled it, else 500, as the server
        /// does.
        ///
        /// A `CancellationError` also counts as 500, because it means that the handler timed out.
        /// The end of the connection in the middle of the request's body, by a FIN or a reset,
        /// counts as a disconnected client.
        func end(throwing error: any Error, for request: HTTPRequest) {
            countBody(of: request)
            if error is HTTPUnhandledError {
                setStatus(404)
                finish(.completed, traceparent: request.traceparent)
            } else if !Task.isCancelled, request.mayHaveBody, Disconnection.isMeant(by: error) {
                finish(.clientDisconnected, traceparent: request.traceparent)
            } else {
                setStatus(500)
                finish(.failed(error), traceparent: request.traceparent)
            }
        }

        /// Counts the request's body, which the server reads to its end before it responds.
        private func countBody(of request: HTTPRequest) {
            addRequestBytes(request.bodySequence.count ?? 0)
        }
    }

    extension HTTPRequest {
        fileprivate var traceparent: String? { headers.traceparent }
    }

    extension HTTPHeaders {
        /// The header of W3C Trace Context.
        var traceparent: String? { self[HTTPHeader("traceparent")] }
    }

#endif
