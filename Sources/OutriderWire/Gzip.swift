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
        let compressed = unsafe [UInt8](unsafeUninitializedCapacity: max(0, limit)) {
            memory, count in
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
}
