// SPDX-License-Identifier: Apache-2.0
// A connected socket pair, for tests of the connection table without an endpoint.

import Glibc

/// Two ends of a connection that belongs to no endpoint.
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

    /// Whether the near end has been shut down.
    var isCut: Bool {
        var byte: UInt8 = 0
        return unsafe recv(near, &byte, 1, Int32(MSG_DONTWAIT)) == 0
    }

    /// Sends something from the far end.
    func sendByte() throws {
        var byte: UInt8 = 0x47
        guard unsafe write(far, &byte, 1) == 1 else { throw POSIXFailure(code: errno) }
    }

    /// Duplicates this near end onto the descriptor of another pair's; returns whether that worked.
    func replace(_ other: SocketPair) -> Bool { dup2(near, other.near) == other.near }

    struct POSIXFailure: Error { let code: Int32 }
}
