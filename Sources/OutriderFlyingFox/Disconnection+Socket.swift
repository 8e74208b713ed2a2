// SPDX-License-Identifier: Apache-2.0
// Errors by which FlyingFox's connections end, and whether they can be those of a request.

#if FlyingFox

    internal import FlyingFox
    internal import FlyingSocks
    internal import OutriderHTTP

    extension Disconnection {
        /// Whether reading from a socket, or writing to it, fails with this error because its other end
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
        /// Only a handler that reads the body gets the error of the request's own connection. If there is no
        /// body, such an error is that of a connection to another service.
        var mayHaveBody: Bool { bodySequence.count != 0 }
    }

#endif
