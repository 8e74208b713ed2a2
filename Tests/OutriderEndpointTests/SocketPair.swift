// SPDX-License-Identifier: Apache-2.0
// A connection without an endpoint, for tests of the connection table alone.

import Glibc

/// Two ends of a connection that no endpoint knows.
final class SocketPair {
    let near: Int32
    private let far: Int32

    init() throws {
        var ends: [Int32] = [-1, -1]
        guard unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else {
            throw POSIXFailure(code: errno)
        }
        (near, far) = (ends[0], ends[1])
    }

    deinit {
        close(near)
        close(far)
    }

    /// Whether the near end was told that nothing comes any more.
    var isCut: Bool {
        var byte: UInt8 = 0
        return unsafe recv(near, &byte, 1, Int32(MSG_DONTWAIT)) == 0
    }

    /// Sends something from the far end.
    func sendByte() throws {
        var byte: UInt8 = 0x47
        guard unsafe write(far, &byte, 1) == 1 else { throw POSIXFailure(code: errno) }
    }

    /// Puts this near end where the near end of another pair was; returns whether that worked.
    func replace(_ other: SocketPair) -> Bool { dup2(near, other.near) == other.near }

    struct POSIXFailure: Error { let code: Int32 }
}
