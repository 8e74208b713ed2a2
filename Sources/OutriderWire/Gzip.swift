// SPDX-License-Identifier: Apache-2.0
// gzip (RFC 1952), for whatever is sent compressed.

internal import CZlib

/// gzip, by zlib.
public enum Gzip {
    /// How hard it tries; scrapes and profiles repeat themselves so much that the quickest level
    /// already saves nine tenths.
    private static let level: Int32 = 1

    /// The bytes as one gzip member; nil if it does not fit into `limit`, or memory is short.
    ///
    /// Takes some 256 KiB of memory while it runs. Thread-safe.
    public static func member(_ bytes: [UInt8], limit: Int) -> [UInt8]? {
        // Without capacity it would write to the storage that all empty arrays share.
        if limit <= 0 { return nil }
        let compressed = unsafe [UInt8](unsafeUninitializedCapacity: limit) { memory, count in
            count = unsafe bytes.withUnsafeBytes { unsafe member($0, into: memory) }
        }
        if compressed.isEmpty { return nil }
        // What is left of the room would stay for as long as the bytes are sent.
        return compressed.count < limit / 2
            ? unsafe compressed.withUnsafeBufferPointer { unsafe Array($0) } : compressed
    }

    /// Writes the bytes as one gzip member, and returns its length; 0 if it does not fit, or memory is short.
    public static func member(
        _ bytes: UnsafeRawBufferPointer, into memory: UnsafeMutableBufferPointer<UInt8>
    ) -> Int {
        guard let from = bytes.baseAddress, let place = memory.baseAddress else { return 0 }
        // SAFETY: zlib stays within the sizes that it is given.
        return unsafe outrider_gzip(
            from.assumingMemoryBound(to: UInt8.self), bytes.count, place, memory.count, level)
    }

    /// The bytes as one gzip member, however little that saves; nil if memory is short.
    public static func member(_ bytes: [UInt8]) -> [UInt8]? {
        // What does not compress grows by a few bytes for each block of 16 KiB (zlib.h, deflateBound).
        member(bytes, limit: bytes.count + bytes.count / 1_000 + 1_024)
    }

    static var streamLevel: Int32 { level }
}

/// One gzip member, written a piece at a time, so that what it is made of is never in memory as a whole.
///
/// Takes some 320 KiB besides what it has written. For one thread at a time.
@safe public final class GzipWriter {
    private static let room = 32 << 10

    /// zlib's state, which this writer owns; nil if there was no memory for it, and bytes stay as they are.
    private var stream: UnsafeMutablePointer<z_stream>?
    private var written: [UInt8] = []
    private var piece = [UInt8](repeating: 0, count: room)

    /// An empty member.
    public init() {
        unsafe stream = outrider_gzip_open(Gzip.streamLevel)
    }

    deinit {
        if let stream = unsafe stream { unsafe outrider_gzip_close(stream) }
    }

    /// Adds bytes.
    public func write(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBufferPointer { unsafe write($0, isLast: false) }
    }

    /// The whole member; or the bytes as they are, if there was no memory to compress.
    ///
    /// Nothing may be added afterwards.
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
        // SAFETY: zlib reads the bytes until it has taken all of them, below, and stays within the piece.
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
