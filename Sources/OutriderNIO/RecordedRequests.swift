// SPDX-License-Identifier: Apache-2.0
// The requests of one connection, from head to response; both handlers use it, whatever their kind
// of parts. It belongs to the connection's event loop and has no lock.
//
// HTTP/1 sends responses in the order of the requests (RFC 9112, 9.3.2), so a response belongs to
// the oldest request without one.

#if NIO
    internal import NIOCore
    internal import NIOHTTP1
    internal import OutriderHTTP

    /// The head of a request, for either kind of parts.
    struct RequestHead {
        let method: String
        let scheme: URLScheme
        /// The template; nil if no route matched.
        let route: String?
        /// The value of that field; nil if there is none.
        let traceparent: String?
    }

    /// A request whose response has been passed to the pipeline up to its last part.
    ///
    /// A client that does not read may leave any number of these behind, one for each response that
    /// waits to be written. So only small data of the request is kept.
    private struct CompletedRequest: Sendable {
        fileprivate let token: RequestToken
        fileprivate let traceparent: String?
        /// The error that may have kept the head of its response from being sent.
        fileprivate var dropped: (any Error)?
        /// Whether its last part has trailers, which may be what could not be sent.
        fileprivate var hasTrailers = false

        /// Ends the request when the last part was written, or could not be.
        func end(_ written: Result<Void, any Error>) {
            switch (written, dropped) {
            case (.success, _): token.finish(.completed, traceparent: traceparent)
            case (.failure, let dropped?): token.finishUnsent(dropped, traceparent: traceparent)
            case (.failure(let error), nil) where error is HTTPParserError && !hasTrailers:
                // SwiftNIO's validator refuses an end without fields only if it refused the head.
                token.finishUnsent(error, traceparent: traceparent)
            case (.failure(let error), nil):
                let hasLeft = Disconnection.isMeant(by: error)
                token.finish(
                    hasLeft ? .clientDisconnected : .failed(error), traceparent: traceparent)
            }
        }
    }

    /// The error of responses that the pipeline refused to send; belongs to the connection's event
    /// loop.
    ///
    /// SwiftNIO's validator of header fields fires one error, for the first of them, and then drops
    /// all parts of the connection, failing their promises. The handler for pipelining may delay
    /// that error until the response has ended.
    private final class DroppedResponses {
        var error: (any Error)?
        var isReported = false
    }

    /// The requests of one connection that have no complete response yet.
    struct RecordedRequests {
        private struct PendingRequest {
            var completed: CompletedRequest
            let isConnect: Bool
            var opensTunnel = false
            var isHeadSent = false

            var token: RequestToken { completed.token }

            /// The request to end; `error` is that of the connection's writes.
            func ending(after error: (any Error)?) -> CompletedRequest {
                var completed = completed
                if !isHeadSent { completed.dropped = error }
                return completed
            }
        }

        /// Requests of one connection that are recorded at once.
        ///
        /// A client with more requests without a response is flooding; the excess is only counted.
        private static let limit = 1_024
        /// Bytes of a `traceparent` that are kept; that of the known version has 55.
        private static let traceparentLimit = 256

        /// Whether the connection has switched to another protocol, or another handler records it.
        private(set) var isOver = false

        /// Whether a written part may be the response to a request.
        ///
        /// If not, it may not be HTTP: behind a handler that upgrades, the new protocol may send
        /// data before the upgrade is announced.
        var awaitsResponse: Bool { !isOver && (!pending.isEmpty || unfollowed > 0) }

        /// Set by the handler while it passes on a response part with header fields: an error in
        /// that time belongs to the part, and not to the client's bytes.
        var isWritingFields = false

        let recorder: HTTPRequestRecorder
        private let dropped = DroppedResponses()
        private let countsBytes: Bool
        private var pending = CircularBuffer<PendingRequest>(initialCapacity: 2)
        /// Later requests, beyond the limit.
        private var unfollowed = 0
        /// The request whose body is being read; it may already have its response.
        private var beingRead: RequestToken?

        init(_ recorder: HTTPRequestRecorder) {
            self.recorder = recorder
            countsBytes = recorder.recordsBodySizes
        }

        // MARK: - Input from the client

        mutating func readHead(_ head: RequestHead) {
            // Once one request is not recorded, later ones are not either; otherwise a response
            // would be matched to the wrong request.
            guard pending.count < Self.limit, unfollowed == 0 else {
                unfollowed += 1
                beingRead = nil
                recorder.recordProtocolError(.other)
                return
            }
            let token = recorder.begin(method: head.method, scheme: head.scheme)
            token.setRoute(template: head.route)
            beingRead = token
            let traceparent = head.traceparent.flatMap {
                $0.utf8.count <= Self.traceparentLimit ? $0 : nil
            }
            pending.append(
                PendingRequest(
                    completed: CompletedRequest(token: token, traceparent: traceparent),
                    isConnect: head.method == "CONNECT"))
        }

        func readBody(_ count: Int) {
            if countsBytes { beingRead?.addRequestBytes(count) }
        }

        mutating func readEnd() {
            beingRead = nil
        }

        // MARK: - Output of the service

        /// Sets the route of the oldest request without a response.
        func matched(_ template: String?) {
            pending.first?.token.setRoute(template: template)
        }

        /// Handles the head of a response before it is written; returns the upgraded connection, if
        /// any.
        ///
        /// - Parameter upgrade: The response's `Upgrade` field.
        mutating func willWriteHead(
            _ status: Int, upgrade: @autoclosure () -> String?
        ) -> UpgradedConnection? {
            if status == 101 {
                isOver = true
                let connection = pending.popFirst()?.token.upgrade(
                    to: upgrade()?.lowercased() ?? "")
                abandonAll()
                return connection
            }
            if (100..<200).contains(status) || pending.isEmpty { return nil }
            let first = pending.startIndex
            pending[first].token.setStatus(status)
            pending[first].opensTunnel =
                pending[first].isConnect && (200..<300).contains(status)
            return nil
        }

        /// The request whose response is being written; nil if it is not recorded.
        var responding: RequestToken? { pending.first?.token }

        /// Records that the head of a response was written, unless the pipeline has dropped it.
        ///
        /// - Parameter token: The request that it belongs to, taken before the write: a handler may
        ///   have ended its response since.
        mutating func didWriteHead(_ status: Int, to token: RequestToken?) {
            guard dropped.error == nil, let token, token === responding,
                !(100..<200).contains(status)
            else { return }
            pending[pending.startIndex].isHeadSent = true
            token.recordHead(status: status)
        }

        func willWriteBody(_ count: Int) {
            if countsBytes { pending.first?.token.addResponseBytes(count) }
        }

        /// Ends the request whose response is complete once its last part was written.
        ///
        /// - Parameters:
        ///   - promise: The promise of the last part, if there is one.
        ///   - hasTrailers: Whether the last part has fields.
        /// - Returns: The promise to write that part with.
        mutating func willWriteEnd(
            _ promise: EventLoopPromise<Void>?, hasTrailers: Bool, on loop: any EventLoop
        ) -> EventLoopPromise<Void>? {
            guard var completed = takeCompleted() else { return promise }
            completed.hasTrailers = hasTrailers
            let written = Self.promise(promise, on: loop)
            written.futureResult.assumeIsolated().whenComplete { [completed, dropped] result in
                if case .failure(let error) = result, error is HTTPParserError {
                    dropped.error = dropped.error ?? error
                }
                completed.end(result)
            }
            return written
        }

        /// A promise of this loop that completes `promise`, which may be of another loop.
        private static func promise(
            _ promise: EventLoopPromise<Void>?, on loop: any EventLoop
        ) -> EventLoopPromise<Void> {
            if let promise, promise.futureResult.eventLoop === loop { return promise }
            let own = loop.makePromise(of: Void.self)
            own.futureResult.cascade(to: promise)
            return own
        }

        /// Takes the request whose response is complete; nil if it is not recorded.
        private mutating func takeCompleted() -> CompletedRequest? {
            guard let first = pending.popFirst() else {
                unfollowed = max(0, unfollowed - 1)
                return nil
            }
            if first.opensTunnel {
                isOver = true
                abandonAll()
            }
            return first.ending(after: dropped.error)
        }

        // MARK: - Ending

        /// Handles an upgrade that happened before any parts arrived here.
        mutating func wasUpgraded(
            _ head: RequestHead, to protocolName: String
        ) -> UpgradedConnection? {
            if isOver { return nil }
            readHead(head)
            return willWriteHead(101, upgrade: protocolName)
        }

        /// Ends every request without a complete response, because none will come.
        mutating func abandonAll() {
            while let request = pending.popFirst() {
                request.ending(after: dropped.error).end(.failure(ChannelError.eof))
            }
            unfollowed = 0
            beingRead = nil
        }

        /// Whether it records into the same series as `other`.
        func records(in other: HTTPRequestRecorder) -> Bool {
            !isOver && recorder.registryIdentity == other.registryIdentity
        }

        /// Stops recording, because another handler records the same requests.
        mutating func stopRecording(as adapter: String) {
            isOver = true
            recorder.warnAboutDuplicate(adapter)
        }

        /// Counts input that is not HTTP, or stores why a response was not sent.
        ///
        /// A connection that ends in the middle of a request is not counted here: its client
        /// disconnected.
        mutating func noteError(_ error: any Error) {
            if isWritingFields {
                if !Disconnection.isMeant(by: error) {
                    (dropped.error, dropped.isReported) = (error, true)
                }
                return
            }
            if dropped.error != nil, !dropped.isReported, error is HTTPParserError {
                dropped.isReported = true
                return
            }
            guard let error = error as? HTTPParserError, error != .invalidEOFState else { return }
            recorder.recordProtocolError(error == .headerOverflow ? .headerTooLarge : .parse)
        }
    }
#endif
