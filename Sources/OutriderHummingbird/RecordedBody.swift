// SPDX-License-Identifier: Apache-2.0
// Response bodies that are recorded until their last byte.

#if Hummingbird
    internal import HTTPTypes
    internal import Hummingbird
    internal import NIOCore
    internal import OutriderHTTP
    internal import OutriderThreading

    /// A response whose body is not written yet.
    ///
    /// Hummingbird drops the body without writing it when it cannot write the head, because the
    /// connection is closed. So a response that is released without an end means a client that left
    /// before it.
    final class RecordedResponse: Sendable {
        private let token: RequestToken
        private let status: Int
        private let traceparent: String?
        private let readsBody: Bool

        /// A response to the request of `token`, whose route is set.
        ///
        /// - Parameter readsBody: Whether the body may be produced from the request's body, as an
        ///   echo is.
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

        /// Wraps the body; the request ends with its last byte, or with a write that fails.
        func body(_ body: ResponseBody) -> ResponseBody {
            ResponseBody(contentLength: body.contentLength) { writer in
                // Hummingbird has written the head by now.
                self.token.recordHead(status: self.status)
                do {
                    try await body.write(RecordedBodyWriter(parent: writer, recorded: self))
                } catch {
                    self.failed(error)
                    throw error
                }
                self.wrote(end: true)
            }
        }

        /// Counts bytes that the connection accepted.
        fileprivate func wrote(_ count: Int = 0, end: Bool = false) {
            token.addResponseBytes(count)
            if end { token.finish(.completed, traceparent: traceparent) }
        }

        /// Ends the request because a write failed, whatever the body does with the error.
        ///
        /// The failed write may also come from outer middleware, for its own reasons.
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

    /// Forwards writes and records their results.
    private struct RecordedBodyWriter: ResponseBodyWriter {
        var parent: any ResponseBodyWriter
        let recorded: RecordedResponse

        mutating func write(_ buffer: ByteBuffer) async throws {
            do {
                try await parent.write(buffer)
            } catch {
                recorded.refused(error)
                throw error
            }
            recorded.wrote(buffer.readableBytes)
        }

        mutating func write(contentsOf buffers: some Sequence<ByteBuffer>) async throws {
            let parts = Array(buffers)
            do {
                try await parent.write(contentsOf: parts)
            } catch {
                recorded.refused(error)
                throw error
            }
            recorded.wrote(parts.reduce(0) { $0 + $1.readableBytes })
        }

        consuming func finish(_ trailingHeaders: HTTPFields?) async throws {
            do {
                try await parent.finish(trailingHeaders)
            } catch {
                recorded.refused(error)
                throw error
            }
            recorded.wrote(end: true)
        }
    }
#endif
