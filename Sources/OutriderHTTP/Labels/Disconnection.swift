// SPDX-License-Identifier: Apache-2.0
// Errors that mean that the peer has closed or lost the connection.
//
// A connection ends with a FIN, a reset, or an error of a later write, and each layer throws its
// own error type. Each adapter checks the types of the packages that it links; this file has the
// common part.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Recognises errors by which the peer ends a connection.
package enum Disconnection {
    /// Whether errno means that the peer has closed or reset a connection.
    ///
    /// Source: read(2), write(2).
    package static func isClosing(byErrno code: Int32) -> Bool {
        switch code {
        case ECONNRESET, ECONNABORTED, EPIPE, ENOTCONN, ESHUTDOWN: true
        default: false
        }
    }

    /// Whether a system call on an open connection fails with this errno because the peer has left
    /// or is unreachable.
    ///
    /// Source: read(2), write(2), tcp(7).
    package static func isMeant(byErrno code: Int32) -> Bool {
        switch code {
        case ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ENETDOWN, ENETRESET: true
        default: isClosing(byErrno: code)
        }
    }

    /// Whether this is such an error of TLS or HTTP/2, whose packages are not linked here.
    ///
    /// It compares the type's name, which is slow: call it only for errors.
    package static func isMeant(byNameOf error: any Error) -> Bool {
        switch String(reflecting: type(of: error)) {
        // The connection ended without TLS's close_notify alert (RFC 8446, section 6.1).
        case "NIOSSL.NIOSSLError": String(describing: error) == "uncleanShutdown"
        case "NIOHTTP2.NIOHTTP2Errors.StreamClosed",
            "NIOHTTP2.NIOHTTP2Errors.IOOnClosedConnection":
            true
        default: false
        }
    }
}
