// SPDX-License-Identifier: Apache-2.0
// Errors by which Hummingbird's connections end, and whether they can come from the request's own
// connection.

#if Hummingbird
    internal import HTTPTypes
    internal import Hummingbird
    internal import NIOCore
    internal import NIOHTTP1
    internal import OutriderHTTP

    extension Disconnection {
        /// Whether reading from a connection, or writing to it, fails with this error because the
        /// peer has left.
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
        /// Only a handler that reads the body gets an error of the request's own connection.
        /// Without a body, such an error comes from a connection to another service. HTTP/2
        /// requests need not have a length.
        var mayHaveBody: Bool {
            // A linear search: a lookup by name would first build an index of all fields.
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
