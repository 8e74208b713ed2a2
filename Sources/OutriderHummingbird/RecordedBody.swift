// SPDX-License-Identifier: Apache-2.0
// The body of an answer that is recorded until its last byte.

#if Hummingbird
    internal import HTTPTypes
    internal import Hummingbird
    internal import NIOCore
    internal import OutriderHTTP
    internal import OutriderThreading

    /// An answer whose body is yet to be written.
    ///
    /// Hummingbird drops the body without writing it when it cannot write the head: the connection
    /// is closed. So an answer that goes without an end had a client that went before it.
    final class RecordedAnswer: Sendable {
        private let token: RequestToken
        private let status: Int
        private let traceparent: String?
        private let readsBody: Bool

        /// An answer to the request of `token`, which has its route.
        ///
        /// - Parameter readsBody: Whether the body may be made of the request's own, as an echo is.
        init(_ token: RequestToken, status: Int, traceparent: String?, readsBody: Bool) {
            token.setStatus(status)
            token.captureTrace()
            self.token = token
            self.status = status
            self.traceparent = traceparent
            self.readsBody = readsBody
        }

        deinit {
            token.finish(.clientDisconnected, traceparent: traceparent)
        }

        /// The same body; the request ends with its last byte, or with the one that fails.
        func body(_ body: ResponseBody) -> ResponseBody {
            ResponseBody(contentLength: body.contentLength) { writer in
                // Hummingbird has written the head by now.
                self.token.noteHead(status: self.status)
                do {
                    try await body.write(RecordedBodyWriter(parent: writer, answer: self))
                } catch {
                    self.failed(error)
                    throw error
                }
                self.wrote(end: true)
            }
        }

        /// Counts what the connection took.
        fileprivate func wrote(_ count: Int = 0, end: Bool = false) {
            token.addResponseBytes(count)
            if end { token.finish(.completed, traceparent: traceparent) }
        }

        /// Ends the request since a write failed, whatever the body makes of that.
        ///
        /// Middleware further out may have written in vain, for a reason of its own.
        fileprivate func refused(_ error: any Error) {
            end(error, isByClient: Disconnection.isMeant(by: error))
        }

        /// Ends the request with an error that the body itself threw.
        private func failed(_ error: any Error) {
            end(error, isByClient: readsBody && Disconnection.isMeant(by: error))
        }

        private func end(_ error: any Error, isByClient: Bool) {
            let hasLeft = isByClient || isCancellation(error)
            token.finish(hasLeft ? .clientDisconnected : .failed(error), traceparent: traceparent)
        }
    }

    /// Writes what it is given and notes how that went.
    private struct RecordedBodyWriter: ResponseBodyWriter {
        var parent: any ResponseBodyWriter
        let answer: RecordedAnswer

        mutating func write(_ buffer: ByteBuffer) async throws {
            do {
                try await parent.write(buffer)
            } catch {
                answer.refused(error)
                throw error
            }
            answer.wrote(buffer.readableBytes)
        }

        mutating func write(contentsOf buffers: some Sequence<ByteBuffer>) async throws {
            let parts = Array(buffers)
            do {
                try await parent.write(contentsOf: parts)
            } catch {
                answer.refused(error)
                throw error
            }
            answer.wrote(parts.reduce(0) { $0 + $1.readableBytes })
        }

        consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
            do {
                try await parent.finish(trailingHeaders)
            } catch {
                answer.refused(error)
                throw error
            }
            answer.wrote(end: true)
        }
    }
#endif
