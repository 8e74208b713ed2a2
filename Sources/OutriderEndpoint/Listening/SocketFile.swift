// SPDX-License-Identifier: Apache-2.0
// The name that a Unix socket has in the file system.

internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The file of a Unix socket, recognised by its inode.
struct SocketFile: Sendable {
    private let path: String
    private let identity: FileIdentity

    init?(_ path: String) {
        guard let identity = FileIdentity(path: path) else { return nil }
        self.path = path
        self.identity = identity
    }

    /// Removes the file, unless another process has put its own in its place.
    func remove() {
        if FileIdentity(path: path) == identity { unsafe unlink(path) }
    }
}
