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
    private struct AnsweredRequest: Sendable {
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
    private final class DroppedAnswers {
        var error: (any Error)?
        var isReported = false
    }

    /// The requests of one connection that have no complete response yet.
    struct RecordedRequests {
        private struct Unanswered {
            var answered: AnsweredRequest
            let isConnect: Bool
            var opensTunnel = false
            var isHeadSent = false

            var token: RequestToken { answered.token }

            /// The request to end; `error` is that of the connection's writes.
            func ending(after error: (any Error)?) -> AnsweredRequest {
                var answered = answered
                if !isHeadSent { answered.dropped = error }
                return answered
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
        var awaitsAnswer: Bool { !isOver && (!unanswered.isEmpty || unfollowed > 0) }

        /// Set by the handler while it passes on a response part with header fields: an error in
        /// that time belongs to the part, and not to the client's bytes.
        var isWritingFields = false

        let recorder: HTTPRequestRecorder
        private let dropped = DroppedAnswers()
        private let countsBytes: Bool
        private var unanswered = CircularBuffer<Unanswered>(initialCapacity: 2)
        /// Later requests, beyond the limit.
        private var unfollowed = 0
        /// The request whose body is being read; it may already have its response.
        private var beingRead: RequestToken?

        init(_ recorder: HTTPRequestRecorder) {
            self.recorder = recorder
            countsBytes = recorder.recordsBodySizes
        }

        // MARK: - Input from the client

        mutating func began(_ head: RequestHead) {
            // Once one request is not recorded, later ones are not either; otherwise a response
            // would be matched to the wrong request.
            guard unanswered.count < Self.limit, unfollowed == 0 else {
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
            unanswered.append(
                Unanswered(
                    answered: AnsweredRequest(token: token, traceparent: traceparent),
                    isConnect: head.method == "CONNECT"))
        }

        func received(_ count: Int) {
            if countsBytes { beingRead?.addRequestBytes(count) }
        }

        mutating func wasRead() {
            beingRead = nil
        }

        // MARK: - Output of the service

        /// Sets the route of the oldest request without a response.
        func matched(_ template: String?) {
            unanswered.first?.token.setRoute(template: template)
        }

        /// Handles the head of a response before it is written; returns the upgraded connection, if
        /// any.
        ///
        /// - Parameter upgrade: The response's `Upgrade` field.
        mutating func answers(
            _ status: Int, upgrade: @autoclosure () -> String?
        ) -> UpgradedConnection? {
            if status == 101 {
                isOver = true
                let connection = unanswered.popFirst()?.token.upgrade(
                    to: upgrade()?.lowercased() ?? "")
                abandonAll()
                return connection
            }
            if (100..<200).contains(status) || unanswered.isEmpty { return nil }
            let first = unanswered.startIndex
            unanswered[first].token.setStatus(status)
            unanswered[first].opensTunnel =
                unanswered[first].isConnect && (200..<300).contains(status)
            return nil
        }

        /// The request whose response is being written; nil if it is not recorded.
        var answering: RequestToken? { unanswered.first?.token }

        /// Records that the head of a response was written, unless the pipeline has dropped it.
        ///
        /// - Parameter token: The request that it belongs to, taken before the write: a handler may
        ///   have ended its response since.
        mutating func wroteHead(_ status: Int, to token: RequestToken?) {
            guard dropped.error == nil, let token, token === answering,
                !(100..<200).contains(status)
            else { return }
            unanswered[unanswered.startIndex].isHeadSent = true
            token.recordHead(status: status)
        }

        func sends(_ count: Int) {
            if countsBytes { unanswered.first?.token.addResponseBytes(count) }
        }

        /// Ends the request whose response is complete once its last part was written.
        ///
        /// - Parameters:
        ///   - promise: The promise of the last part, if there is one.
        ///   - hasTrailers: Whether the last part has fields.
        /// - Returns: The promise to write that part with.
        mutating func answered(
            _ promise: EventLoopPromise<Void>?, hasTrailers: Bool, on loop: any EventLoop
        ) -> EventLoopPromise<Void>? {
            guard var answered = takeAnswered() else { return promise }
            answered.hasTrailers = hasTrailers
            let written = Self.promise(promise, on: loop)
            written.futureResult.assumeIsolated().whenComplete { [answered, dropped] result in
                if case .failure(let error) = result, error is HTTPParserError {
                    dropped.error = dropped.error ?? error
                }
                answered.end(result)
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
        private mutating func takeAnswered() -> AnsweredRequest? {
            guard let first = unanswered.popFirst() else {
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
            began(head)
            return answers(101, upgrade: protocolName)
        }

        /// Ends every request without a complete response, because none will come.
        mutating func abandonAll() {
            while let request = unanswered.popFirst() {
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
        mutating func standBack(behind adapter: String) {
            isOver = true
            recorder.warnOfSecond(adapter)
        }

        /// Counts input that is not HTTP, or stores why a response was not sent.
        ///
        /// A connection that ends in the middle of a request is not counted here: its client
        /// disconnected.
        mutating func failed(_ error: any Error) {
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
