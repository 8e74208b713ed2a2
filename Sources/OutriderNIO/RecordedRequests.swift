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

    /// Header fields, of whatever kind.
    protocol RequestFields: Sendable {
        /// The field `traceparent`, if there is one.
        var traceparent: String? { get }
    }

    extension HTTPHeaders: RequestFields {
        var traceparent: String? { first(name: "traceparent") }
    }

    /// The head of a request, of whatever kind.
    struct RequestHead<Fields: RequestFields> {
        let method: String
        let scheme: URLScheme
        /// The template; nil if no route matched.
        let route: String?
        let fields: Fields
    }

    /// A request whose answer has been handed over to its last part.
    struct AnsweredRequest<Fields: RequestFields>: Sendable {
        fileprivate let token: RequestToken
        fileprivate let fields: Fields

        /// Ends the request when that last part was written, or could not be.
        func end(_ written: Result<Void, any Error>) {
            switch written {
            case .success: token.finish(.completed, traceparent: fields.traceparent)
            case .failure: token.finish(.clientDisconnected, traceparent: fields.traceparent)
            }
        }
    }

    /// The requests of one connection that have no full answer yet.
    struct RecordedRequests<Fields: RequestFields> {
        private struct Unanswered {
            let answered: AnsweredRequest<Fields>
            let isConnect: Bool
            var opensTunnel = false

            var token: RequestToken { answered.token }
        }

        /// Requests of one connection that are followed at once; whoever has more without an answer
        /// floods, and what comes on top is only counted.
        static var limit: Int { 1_024 }

        /// Whether the connection speaks something else by now, so that nothing here is for us.
        private(set) var isOver = false

        private let recorder: HTTPRequestRecorder
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

        mutating func began(_ head: RequestHead<Fields>) {
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
            unanswered.append(
                Unanswered(
                    answered: AnsweredRequest(token: token, fields: head.fields),
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

        /// Notes the head of an answer; what a connection was upgraded to comes back.
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
            unanswered[first].token.noteHead(status: status)
            unanswered[first].opensTunnel =
                unanswered[first].isConnect && (200..<300).contains(status)
            return nil
        }

        func sends(_ count: Int) {
            if countsBytes { unanswered.first?.token.addResponseBytes(count) }
        }

        /// Takes the request whose answer is complete; nil if that is none that is followed.
        mutating func answered() -> AnsweredRequest<Fields>? {
            guard let first = unanswered.popFirst() else {
                unfollowed = max(0, unfollowed - 1)
                return nil
            }
            if first.opensTunnel {
                isOver = true
                abandonAll()
            }
            return first.answered
        }

        // MARK: - Ends

        /// Takes an upgrade that happened before the parts came here.
        mutating func wasUpgraded(
            _ head: RequestHead<Fields>, to protocolName: String
        ) -> UpgradedConnection? {
            if isOver { return nil }
            began(head)
            return answers(101, upgrade: protocolName)
        }

        /// Ends every request that has no full answer: there will be none.
        mutating func abandonAll() {
            while let request = unanswered.popFirst() {
                request.answered.end(.failure(ChannelError.eof))
            }
            unfollowed = 0
            beingRead = nil
        }

        /// Counts what was no HTTP.
        ///
        /// A connection that ends in the middle of a request is not counted here: its client hung up.
        func failed(_ error: any Error) {
            guard let error = error as? HTTPParserError, error != .invalidEOFState else { return }
            recorder.noteProtocolError(error == .headerOverflow ? .headerTooLarge : .parse)
        }
    }
#endif
