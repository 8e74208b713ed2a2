// SPDX-License-Identifier: Apache-2.0
// Errors by which Hummingbird's connections end, and whether they can be those of a request.

#if Hummingbird
    internal import HTTPTypes
    internal import Hummingbird
    internal import NIOCore
    internal import NIOHTTP1
    internal import OutriderHTTP

    extension Disconnection {
        /// Whether reading from a connection, or writing to it, fails with this error because its other
        /// end has left.
        static func isMeant(by error: any Error) -> Bool {
            switch error {
            case let error as IOError: isMeant(byErrno: error.errnoCode)
            case let error as ChannelError:
                switch error {
                case .ioOnClosedChannel, .alreadyClosed, .outputClosed, .inputClosed, .eof: true
                default: false
                }
            case is NIOAsyncWriterError: true
            // The connection ended in the middle of the request's body.
            case let error as HTTPParserError: error == .invalidEOFState
            default: isMeant(byNameOf: error)
            }
        }
    }

    extension Request {
        /// Whether the client may still have been sending when an error was thrown.
        ///
        /// Only a handler that reads the body gets the error of the request's own connection. If there is no
        /// body, such an error is that of a connection to another service. Requests of HTTP/2 need not have a length.
        var mayHaveBody: Bool {
            // Looked for one by one: a look-up by name would first make an index of all fields.
            for field in headers {
                if field.name == .contentLength { return field.value != "0" }
                if field.name == .transferEncoding { return true }
            }
            switch method {
            case .get, .head, .delete, .options, .trace, .connect: return false
            default: return true
            }
        }
    }
#endif
