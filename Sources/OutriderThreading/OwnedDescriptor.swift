// SPDX-License-Identifier: Apache-2.0
// A descriptor that we opened, and a check that it is still ours.
//
// Some services close every descriptor that they do not know. The kernel then reuses the number for
// the next file that the service opens, and a call of ours would reach the service's file. So each
// use of a long-lived descriptor first compares the file behind it.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The identity of a file: its device and inode number (stat(2)).
///
/// The kernel numbers sockets and pipes in order of creation, so two of them have the same identity
/// only if four billion others were created between them.
package struct FileIdentity: Hashable, Sendable {
    private let device: UInt64
    private let node: UInt64

    /// The file behind a descriptor; nil if it is not open; costs one fstat(2).
    package init?(descriptor: Int32) {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return nil }
        self.init(status)
    }

    /// The file at a path, without following a link; nil if there is none; costs one lstat(2).
    package init?(path: String) {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    private init(_ status: stat) {
        device = UInt64(truncatingIfNeeded: status.st_dev)
        node = UInt64(truncatingIfNeeded: status.st_ino)
    }
}

/// The number of a descriptor, and the identity of the file that was behind it when it was opened.
package struct OwnedDescriptor: Sendable {
    /// The number; by now it may belong to another file, see ``isOwn``.
    package let number: Int32
    private let identity: FileIdentity?

    /// Stores the identity of the file that is currently behind a descriptor.
    package init(_ number: Int32) {
        self.number = number
        identity = FileIdentity(descriptor: number)
    }

    /// Whether the file that was opened is still behind the number; costs one fstat(2).
    package var isOwn: Bool {
        identity != nil && FileIdentity(descriptor: number) == identity
    }

    /// Closes it if it is ours; returns whether it was.
    @discardableResult
    package func closeIfOwn() -> Bool {
        guard isOwn else { return false }
        close(number)
        return true
    }
}
