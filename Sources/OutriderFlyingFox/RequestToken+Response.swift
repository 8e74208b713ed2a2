// SPDX-License-Identifier: Apache-2.0
// How a request ends, by what its handler returned or threw.
//
// The server sends what a handler returns without another word to it. A body that is in memory is
// sent in one go, and its request ends here; one that takes its time is followed to its last byte.

#if FlyingFox

    internal import FlyingFox
    internal import OutriderHTTP

    extension RequestToken {
        /// A body of a known size up to this many bytes ends its request when the handler returns.
        ///
        /// The buffers of a socket take about as much at once; to follow it costs more than it tells.
        private static let followedFrom = 256 << 10

        /// Ends the request, or sees to it that it is ended with the last byte of the answer.
        ///
        /// - Returns: The answer to hand on.
        func follow(_ response: HTTPResponse, to request: HTTPRequest) -> HTTPResponse {
            countBody(of: request)
            // The server cancels a handler whose time is up, and answers 500 whatever it returns.
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
                    noteHead(status: status)
                    addResponseBytes(count)
                    finish(.completed, traceparent: request.traceparent)
                } else {
                    setStatus(status)
                    // The connection's task sends it, and knows nothing of the handler's trace.
                    captureTrace()
                    let watch = BodyWatch(
                        self, status: status, request.headers, readsBody: request.mayHaveBody)
                    response.payload = .httpBody(body.recorded(by: watch))
                }
            }
            return response
        }

        /// Ends a request whose handler threw: 404 for what nobody answers, 500 for all else, as the
        /// server does.
        ///
        /// A `CancellationError` is not an exception: it comes when the handler's time was up, and the
        /// client gets 500. The end of the connection in the middle of the request's body, by a FIN or a
        /// reset, is one: the client has left.
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

        /// The server reads a body to its end before it answers, whoever wants it.
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
