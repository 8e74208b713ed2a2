// SPDX-License-Identifier: Apache-2.0
// The requests of one connection, from head to answer: what both handlers share, whatever kind of
// parts they read. It belongs to the connection's event loop and has no lock.
//
// HTTP/1 answers in the order of the requests (RFC 9112, 9.3.2), so the oldest request without an
// answer is the one that an answer is for.

#if NIO
    internal import NIOCore
    internal import NIOHTTP1
    internal import OutriderHTTP

    /// The head of a request, of whatever kind.
    struct RequestHead {
        let method: String
        let scheme: URLScheme
        /// The template; nil if no route matched.
        let route: String?
        /// The field of that name, if there is one.
        let traceparent: String?
    }

    /// A request whose answer has been handed over to its last part.
    ///
    /// A client that reads no answers may leave any number of these behind, as many as there are
    /// answers that wait to be written. So nothing of the request is kept but what is small.
    private struct AnsweredRequest: Sendable {
        fileprivate let token: RequestToken
        fileprivate let traceparent: String?
        /// Why the head of its answer may not have been sent.
        fileprivate var dropped: (any Error)?
        /// Whether its last part had fields too, which may be what could not be sent.
        fileprivate var hasTrailers = false

        /// Ends the request when that last part was written, or could not be.
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

    /// What became of answers that the pipeline refused to send; belongs to the connection's event loop.
    ///
    /// SwiftNIO's validator of header fields fires one error, for the first of them, and from then on drops
    /// all parts of the connection, failing their promises. The handler for pipelining may keep that error
    /// back until the answer has ended.
    private final class DroppedAnswers {
        var error: (any Error)?
        var isReported = false
    }

    /// The requests of one connection that have no full answer yet.
    struct RecordedRequests {
        private struct Unanswered {
            var answered: AnsweredRequest
            let isConnect: Bool
            var opensTunnel = false
            var isHeadSent = false

            var token: RequestToken { answered.token }

            /// What is left to be ended; `error` is the one of the connection's writes.
            func ending(after error: (any Error)?) -> AnsweredRequest {
                var answered = answered
                if !isHeadSent { answered.dropped = error }
                return answered
            }
        }

        /// Requests of one connection that are followed at once; whoever has more without an answer
        /// floods, and what comes on top is only counted.
        private static let limit = 1_024
        /// Bytes of a `traceparent` that are kept; those of the known version have 55.
        private static let traceparentLimit = 256

        /// Whether the connection speaks something else by now, so that nothing here is for us.
        private(set) var isOver = false

        /// Whether what is written may be the answer to a request.
        ///
        /// If not, it may be no HTTP at all: behind a handler that upgrades, the new protocol may
        /// speak before anybody says that there is one.
        var awaitsAnswer: Bool { !isOver && (!unanswered.isEmpty || unfollowed > 0) }

        /// Set by the handler while it passes on a part of an answer that has header fields: an error that
        /// comes meanwhile is that of the part, and not one of the client's bytes.
        var isWritingFields = false

        let recorder: HTTPRequestRecorder
        private let dropped = DroppedAnswers()
        private let countsBytes: Bool
        private var unanswered = CircularBuffer<Unanswered>(initialCapacity: 2)
        /// Requests behind those, which are beyond the limit.
        private var unfollowed = 0
        /// The request whose body is being read; it may have its answer already.
        private var beingRead: RequestToken?

        init(_ recorder: HTTPRequestRecorder) {
            self.recorder = recorder
            countsBytes = recorder.recordsBodySizes
        }

        // MARK: - What the client sends

        mutating func began(_ head: RequestHead) {
            // Once one request is not followed, those behind it are not either: else an answer
            // would be taken for another's.
            guard unanswered.count < Self.limit, unfollowed == 0 else {
                unfollowed += 1
                beingRead = nil
                recorder.noteProtocolError(.other)
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

        // MARK: - What the service answers

        /// Sets the route of the oldest request without an answer.
        func matched(_ template: String?) {
            unanswered.first?.token.setRoute(template: template)
        }

        /// Takes the head of an answer, before it is written; what a connection was upgraded to comes back.
        ///
        /// - Parameter upgrade: The field `Upgrade` of the answer.
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

        /// The request whose answer is being written; nil if none is followed.
        var answering: RequestToken? { unanswered.first?.token }

        /// Notes that the head of an answer was written, unless the pipeline has dropped it.
        ///
        /// - Parameter token: The request that it belongs to, from before the write: a handler may have
        ///   ended its answer by now.
        mutating func wroteHead(_ status: Int, to token: RequestToken?) {
            guard dropped.error == nil, let token, token === answering,
                !(100..<200).contains(status)
            else { return }
            unanswered[unanswered.startIndex].isHeadSent = true
            token.noteHead(status: status)
        }

        func sends(_ count: Int) {
            if countsBytes { unanswered.first?.token.addResponseBytes(count) }
        }

        /// Ends the request whose answer is complete once its last part was written.
        ///
        /// - Parameters:
        ///   - promise: That of the last part, if there is one.
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

        /// A promise of this loop that fulfils `promise`, which may be of another one.
        private static func promise(
            _ promise: EventLoopPromise<Void>?, on loop: any EventLoop
        ) -> EventLoopPromise<Void> {
            if let promise, promise.futureResult.eventLoop === loop { return promise }
            let own = loop.makePromise(of: Void.self)
            own.futureResult.cascade(to: promise)
            return own
        }

        /// Takes the request whose answer is complete; nil if that is none that is followed.
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

        // MARK: - Ends

        /// Takes an upgrade that happened before the parts came here.
        mutating func wasUpgraded(
            _ head: RequestHead, to protocolName: String
        ) -> UpgradedConnection? {
            if isOver { return nil }
            began(head)
            return answers(101, upgrade: protocolName)
        }

        /// Ends every request that has no full answer: there will be none.
        mutating func abandonAll() {
            while let request = unanswered.popFirst() {
                request.ending(after: dropped.error).end(.failure(ChannelError.eof))
            }
            unfollowed = 0
            beingRead = nil
        }

        /// Whether it records into the series of `other`.
        func records(in other: HTTPRequestRecorder) -> Bool {
            !isOver && recorder.registryIdentity == other.registryIdentity
        }

        /// Follows nothing: another handler records the same requests.
        mutating func standBack(behind adapter: String) {
            isOver = true
            recorder.warnOfSecond(adapter)
        }

        /// Counts what was no HTTP, or takes note of why an answer is not sent.
        ///
        /// A connection that ends in the middle of a request is not counted here: its client hung up.
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
            recorder.noteProtocolError(error == .headerOverflow ? .headerTooLarge : .parse)
        }
    }
#endif
