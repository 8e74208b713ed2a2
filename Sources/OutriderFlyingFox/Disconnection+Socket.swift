// SPDX-License-Identifier: Apache-2.0
// Errors by which FlyingFox's connections end, and whether they can come from the request's own
// connection.

#if FlyingFox

    internal import FlyingFox
    internal import FlyingSocks
    internal import OutriderHTTP

    extension Disconnection {
        /// Whether reading from a socket, or writing to it, fails with this error because the peer
        /// has left.
        static func isMeant(by error: any Error) -> Bool {
            switch error as? SocketError {
            case .disconnected: true
            case .failed(_, let code, _): isMeant(byErrno: code)
            case .blocked, .unsupportedAddress, .timeout, nil: false
            }
        }
    }

    extension HTTPRequest {
        /// Whether the client may still have been sending when an error was thrown.
        ///
        /// Only a handler that reads the body gets an error of the request's own connection.
        /// Without a body, such an error comes from a connection to another service.
        var mayHaveBody: Bool { bodySequence.count != 0 }
    }

#endif
