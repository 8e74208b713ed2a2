// SPDX-License-Identifier: Apache-2.0
// Errors that mean that the other end of a connection has left.
//
// A connection ends with a FIN, a reset, or an error of a later write, and each layer that sees it
// throws a type of its own. Each adapter has the types of the packages that it links; what all
// adapters share is here.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Errors by which a connection ends at the other end's will.
package enum Disconnection {
    /// Whether errno says that the other end has closed or reset a connection.
    ///
    /// Source: read(2), write(2).
    package static func isClosing(byErrno code: Int32) -> Bool {
        switch code {
        case ECONNRESET, ECONNABORTED, EPIPE, ENOTCONN, ESHUTDOWN: true
        default: false
        }
    }

    /// Whether a system call on an open connection fails with this errno because the other end has
    /// left, or cannot be reached any more.
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
    /// By its name, and so not quick: call it for errors alone.
    package static func isMeant(byNameOf error: any Error) -> Bool {
        switch String(reflecting: type(of: error)) {
        // The connection ended without the farewell of TLS (RFC 8446, section 6.1).
        case "NIOSSL.NIOSSLError": String(describing: error) == "uncleanShutdown"
        case "NIOHTTP2.NIOHTTP2Errors.StreamClosed",
            "NIOHTTP2.NIOHTTP2Errors.IOOnClosedConnection":
            true
        default: false
        }
    }
}
