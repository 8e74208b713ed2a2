// SPDX-License-Identifier: Apache-2.0
// Errors by which SwiftNIO connections end.

#if NIO
    internal import NIOCore
    internal import NIOHTTP1
    internal import OutriderHTTP

    extension Disconnection {
        /// Whether a write fails with this error because the peer has left or the connection is
        /// closed.
        static func isMeant(by error: any Error) -> Bool {
            switch error {
            case let error as IOError: isMeant(byErrno: error.errnoCode)
            case let error as ChannelError:
                switch error {
                case .ioOnClosedChannel, .alreadyClosed, .outputClosed, .inputClosed, .eof: true
                default: false
                }
            case is CancellationError, is NIOAsyncWriterError: true
            default: isMeant(byNameOf: error)
            }
        }
    }
#endif
