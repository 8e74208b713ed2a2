// SPDX-License-Identifier: Apache-2.0
// The file of a Unix socket.

internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The file of a Unix socket, identified by its inode.
struct SocketFile: Sendable {
    private let path: String
    private let identity: FileIdentity

    init?(_ path: String) {
        guard let identity = FileIdentity(path: path) else { return nil }
        self.path = path
        self.identity = identity
    }

    /// Removes the file, unless another process has replaced it.
    func remove() {
        if FileIdentity(path: path) == identity { unsafe unlink(path) }
    }
}
