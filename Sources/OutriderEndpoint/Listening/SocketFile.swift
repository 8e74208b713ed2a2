// SPDX-License-Identifier: Apache-2.0
// The name that a Unix socket has in the file system.

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
    private let device: UInt64
    private let inode: UInt64

    init?(_ path: String) {
        guard let (device, inode) = Self.identity(of: path) else { return nil }
        self.path = path
        self.device = device
        self.inode = inode
    }

    /// Removes the file, unless another process has put its own in its place.
    func remove() {
        guard let (device, inode) = Self.identity(of: path) else { return }
        if device == self.device, inode == self.inode { unsafe unlink(path) }
    }

    private static func identity(of path: String) -> (UInt64, UInt64)? {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return nil }
        return (UInt64(status.st_dev), UInt64(status.st_ino))
    }
}
