// SPDX-License-Identifier: Apache-2.0
// gzip compression (RFC 1952) of responses and profiles.

internal import CZlib

/// gzip, implemented by zlib.
public enum Gzip {
    /// The compression level; scrapes and profiles are so repetitive that the fastest level already
    /// saves nine tenths.
    private static let level: Int32 = 1

    /// Compresses bytes into one gzip member; nil if it does not fit into `limit`, or memory is
    /// short.
    ///
    /// Takes about 256 KiB of memory while it runs. Thread-safe.
    public static func member(_ bytes: [UInt8], limit: Int) -> [UInt8]? {
        // Without capacity it would write to the storage that all empty arrays share.
        if limit <= 0 { return nil }
        let compressed = unsafe [UInt8](unsafeUninitializedCapacity: limit) { memory, count in
            count = unsafe bytes.withUnsafeBytes { unsafe member($0, into: memory) }
        }
        if compressed.isEmpty { return nil }
        // Unused capacity would stay allocated as long as the bytes are being sent.
        return compressed.count < limit / 2
            ? unsafe compressed.withUnsafeBufferPointer { unsafe Array($0) } : compressed
    }

    /// Compresses bytes into one gzip member and returns its length; 0 if it does not fit, or
    /// memory is short.
    public static func member(
        _ bytes: UnsafeRawBufferPointer, into memory: UnsafeMutableBufferPointer<UInt8>
    ) -> Int {
        guard let from = bytes.baseAddress, let destination = memory.baseAddress else { return 0 }
        // SAFETY: zlib stays within the sizes passed to it.
        return unsafe outrider_gzip(
            from.assumingMemoryBound(to: UInt8.self), bytes.count, destination, memory.count, level)
    }

    /// Compresses bytes into one gzip member, even if it is not smaller; nil if memory is short.
    public static func member(_ bytes: [UInt8]) -> [UInt8]? {
        // Incompressible data grows by a few bytes for each block of 16 KiB (zlib.h, deflateBound).
        member(bytes, limit: bytes.count + bytes.count / 1_000 + 1_024)
    }

    static var streamLevel: Int32 { level }
}

/// Compresses a stream into one gzip member, so that the input is never in memory as a whole.
///
/// Takes about 320 KiB in addition to its output. For one thread at a time.
@safe public final class GzipWriter {
    private static let room = 32 << 10

    /// zlib's state, owned by this writer; nil if there was no memory for it, and bytes stay
    /// uncompressed.
    private var stream: UnsafeMutablePointer<z_stream>?
    private var written: [UInt8] = []
    private var piece = [UInt8](repeating: 0, count: room)

    /// Creates an empty member.
    public init() {
        unsafe stream = outrider_gzip_open(Gzip.streamLevel)
    }

    deinit {
        if let stream = unsafe stream { unsafe outrider_gzip_close(stream) }
    }

    /// Appends bytes.
    public func write(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBufferPointer { unsafe write($0, isLast: false) }
    }

    /// The whole member, or the uncompressed bytes if there was no memory to compress them.
    ///
    /// Nothing may be written afterwards.
    public func finish() -> [UInt8] {
        unsafe write(UnsafeBufferPointer(start: nil, count: 0), isLast: true)
        let all = written
        written = []
        return all
    }

    private func write(_ bytes: UnsafeBufferPointer<UInt8>, isLast: Bool) {
        guard let stream = unsafe stream else {
            unsafe written.append(contentsOf: bytes)
            return
        }
        // SAFETY: zlib reads the bytes until all are consumed, below, and stays within `piece`.
        unsafe outrider_gzip_feed(stream, bytes.baseAddress, bytes.count)
        while true {
            let count = unsafe piece.withUnsafeMutableBufferPointer { piece in
                unsafe outrider_gzip_take(stream, piece.baseAddress, piece.count, isLast ? 1 : 0)
            }
            written.append(contentsOf: piece[..<count])
            if count < piece.count { return }
        }
    }
}
