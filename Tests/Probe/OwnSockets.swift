// SPDX-License-Identifier: Apache-2.0
// Sockets of the service, each with a pending message, to detect whether other code reads or closes
// them.

import Glibc

/// Pairs of connected sockets, with a pending message at both ends.
struct OwnSockets {
    private static let message = Array(
        "INSERT INTO payments VALUES (1, 'alice', 'bob'); COMMIT;".utf8)
    private let ends: [Int32]

    /// Opens this many pairs.
    init(count: Int) {
        ends = (0..<count).flatMap { _ in
            var pair: [Int32] = [-1, -1]
            _ = unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair)
            return pair
        }
        for end in ends { _ = unsafe write(end, Self.message, Self.message.count) }
    }

    /// The number of ends.
    var count: Int { ends.count }

    /// The number of ends that hold exactly the message and are open in both directions.
    var intact: Int {
        ends.count { end in
            var bytes = [UInt8](repeating: 0, count: 4_096)
            let flags = Int32(MSG_PEEK) | Int32(MSG_DONTWAIT)
            let length = unsafe recv(end, &bytes, bytes.count, flags)
            // POLLRDHUP, which the Glibc module does not export.
            var state = [pollfd(fd: end, events: 0x2000, revents: 0)]
            let isOpen = unsafe poll(&state, 1, 0) == 0
            return isOpen && length == Self.message.count && bytes.starts(with: Self.message)
        }
    }
}
