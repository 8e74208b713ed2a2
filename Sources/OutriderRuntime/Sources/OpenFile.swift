// SPDX-License-Identifier: Apache-2.0
// A file that is open for one look, and read in pieces.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A file that is read in pieces, and closed when this value ends.
///
/// A host may close every descriptor that it does not know, and open its own file under the same number.
/// So the descriptor is left alone if it is another file's by then, and pread(2) is what reads: it takes
/// nothing away from a socket.
struct OpenFile: ~Copyable {
    private let descriptor: Int32
    private let device: UInt
    private let node: UInt

    /// Opens the file, or says why it cannot be read.
    init(_ path: String) throws(SourceFailure) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw errno == ENOENT || errno == ESRCH ? .missing : .unreadable
        }
        guard let (device, node) = Self.identity(of: descriptor) else { throw .unreadable }
        (self.descriptor, self.device, self.node) = (descriptor, device, node)
    }

    deinit {
        if isOwn { close(descriptor) }
    }

    /// Whether the descriptor is still that of the file.
    var isOwn: Bool {
        guard let (device, node) = Self.identity(of: descriptor) else { return false }
        return device == self.device && node == self.node
    }

    /// Reads `count` bytes at most from `offset` on, and returns how many it read; negative if it cannot.
    ///
    /// - Parameters:
    ///   - buffer: Where the bytes go, from the byte `start` on, as far as there is room.
    ///   - start: Where in the buffer.
    ///   - count: The most that is read.
    ///   - offset: Where in the file.
    func read<Element: BitwiseCopyable>(
        into buffer: inout [Element], from start: Int = 0, count: Int, at offset: Int
    ) -> Int {
        let descriptor = self.descriptor
        return unsafe buffer.withUnsafeMutableBytes { bytes in
            let end = min(bytes.count, start + count)
            guard start >= 0, start < end else { return 0 }
            // SAFETY: pread(2) writes at most the bytes from start to end, which are in the buffer.
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[start..<end])
            return retrying {
                unsafe pread(descriptor, part.baseAddress, part.count, off_t(offset))
            }
        }
    }

    private static func identity(of descriptor: Int32) -> (device: UInt, node: UInt)? {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { return nil }
        return (UInt(truncatingIfNeeded: status.st_dev), UInt(truncatingIfNeeded: status.st_ino))
    }
}
