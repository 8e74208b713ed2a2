// SPDX-License-Identifier: Apache-2.0
// A file that is opened for one pass and read in pieces.

internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A file that is read in pieces, and closed when this value is destroyed.
///
/// The service may close descriptors that it does not know and reuse their numbers. So the
/// descriptor is not closed if it refers to another file by then, and reads use pread(2), which
/// consumes nothing from a socket.
struct OpenFile: ~Copyable {
    private let descriptor: OwnedDescriptor

    /// Opens the file; throws if it cannot be read.
    init(_ path: String) throws(SourceFailure) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw errno == ENOENT || errno == ESRCH ? .missing : .unreadable
        }
        self.descriptor = OwnedDescriptor(descriptor)
    }

    deinit { descriptor.closeIfOwn() }

    /// Whether the descriptor still refers to this file.
    var isOwn: Bool { descriptor.isOwn }

    /// Reads at most `count` bytes from `offset`, and returns how many it read; negative on
    /// failure.
    ///
    /// - Parameters:
    ///   - buffer: The destination; bytes are written from `start` as far as there is room.
    ///   - start: The byte offset in the buffer.
    ///   - count: The maximum number of bytes to read.
    ///   - offset: The byte offset in the file.
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
