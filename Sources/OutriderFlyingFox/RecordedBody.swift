// SPDX-License-Identifier: Apache-2.0
// Large or streamed response bodies, recorded until their last byte.
//
// FlyingFox writes each piece to the socket before it requests the next one. So a request has ended
// when there is no next piece, and was cut off when FlyingFox releases the body before that.

#if FlyingFox

    internal import FlyingFox
    internal import FlyingSocks
    internal import Foundation
    internal import OutriderHTTP

    extension HTTPBodySequence {
        /// The same body, observed by `watch`.
        ///
        /// A body without a size already has chunk framing when a handler returns it, and is framed
        /// again when it is sent; so the first framing is removed.
        func recorded(by watch: BodyWatch) -> HTTPBodySequence {
            let body = RecordedBody(base: self, isChunked: count == nil, watch: watch)
            guard let count else {
                return HTTPBodySequence(from: body, suggestedBufferSize: RecordedBody.largestPiece)
            }
            return HTTPBodySequence(
                from: body, count: count, suggestedBufferSize: RecordedBody.largestPiece)
        }
    }

    /// The bytes of a body, in their original pieces.
    struct RecordedBody: AsyncBufferedSequence {
        typealias Element = UInt8

        /// Larger than any usual piece, so that each piece is passed on whole.
        static let largestPiece = 1 << 20

        let base: HTTPBodySequence
        let isChunked: Bool
        let watch: BodyWatch

        func makeAsyncIterator() -> Iterator {
            // The body is requested after the head has been written.
            watch.recordHead()
            return Iterator(
                base: base.makeAsyncIterator(), framing: isChunked ? ChunkFraming() : nil,
                watch: watch)
        }

        struct Iterator: AsyncBufferedIteratorProtocol {
            var base: HTTPBodySequence.Iterator
            var framing: ChunkFraming?
            let watch: BodyWatch
            private var rest = Data()

            init(base: HTTPBodySequence.Iterator, framing: ChunkFraming?, watch: BodyWatch) {
                self.base = base
                self.framing = framing
                self.watch = watch
            }

            mutating func next() async throws -> UInt8? {
                try await nextBuffer(suggested: 1)?.first
            }

            mutating func nextBuffer(suggested count: Int) async throws -> Data? {
                if rest.isEmpty {
                    guard let piece = try await nextPiece() else { return nil }
                    rest = piece
                }
                let part = rest.prefix(Swift.max(1, count))
                rest = rest.count > part.count ? rest.dropFirst(part.count) : Data()
                watch.add(part.count)
                return part
            }

            private mutating func nextPiece() async throws -> Data? {
                do {
                    while let piece = try await base.next() {
                        guard framing != nil else { return piece }
                        let payload = try framing?.decode(piece) ?? piece
                        if framing?.isAtEnd == true { break }
                        if !payload.isEmpty { return payload }
                    }
                } catch {
                    watch.fail(error)
                    throw error
                }
                watch.complete()
                return nil
            }
        }
    }

    /// Ends a request when its body ends or is released.
    final class BodyWatch: Sendable {
        private let token: RequestToken
        private let status: Int
        private let headers: HTTPHeaders
        private let readsBody: Bool

        /// - Parameter readsBody: Whether the body may be produced from the request's body, as an
        ///   echo is.
        init(_ token: RequestToken, status: Int, _ headers: HTTPHeaders, readsBody: Bool) {
            self.token = token
            self.status = status
            self.headers = headers
            self.readsBody = readsBody
        }

        deinit {
            // The connection broke, or its task was cancelled.
            token.finish(.clientDisconnected, traceparent: headers.traceparent)
        }

        func recordHead() { token.recordHead(status: status) }

        func add(_ count: Int) { token.addResponseBytes(count) }

        func complete() { token.finish(.completed, traceparent: headers.traceparent) }

        func fail(_ error: any Error) {
            let hasLeft =
                error is CancellationError || Task.isCancelled
                || readsBody && Disconnection.isMeant(by: error)
            token.finish(
                hasLeft ? .clientDisconnected : .failed(error), traceparent: headers.traceparent)
        }
    }

#endif
