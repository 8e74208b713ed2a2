// SPDX-License-Identifier: Apache-2.0
// A file that is open for one look, and read in pieces.

internal import OutriderThreading

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
    private let descriptor: OwnedDescriptor

    /// Opens the file, or says why it cannot be read.
    init(_ path: String) throws(SourceFailure) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw errno == ENOENT || errno == ESRCH ? .missing : .unreadable
        }
        self.descriptor = OwnedDescriptor(descriptor)
    }

    deinit { descriptor.closeIfOwn() }

    /// Whether the descriptor is still that of the file.
    var isOwn: Bool { descriptor.isOwn }

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
        let descriptor = self.descriptor.number
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
}
