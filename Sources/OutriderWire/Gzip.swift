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
            guard let place = memory.baseAddress else { return }
            unsafe bytes.withUnsafeBufferPointer { source in
                guard let from = source.baseAddress else { return }
                // SAFETY: zlib stays within the sizes that it is given.
                count = unsafe outrider_gzip(from, source.count, place, memory.count, level)
            }
        }
        if compressed.isEmpty { return nil }
        // What is left of the room would stay for as long as the bytes are sent.
        return compressed.count < limit / 2
            ? unsafe compressed.withUnsafeBufferPointer { unsafe Array($0) } : compressed
    }

    /// The bytes as one gzip member, however little that saves; nil if memory is short.
    public static func member(_ bytes: [UInt8]) -> [UInt8]? {
        // What does not compress grows by a few bytes for each block of 16 KiB (zlib.h, deflateBound).
        member(bytes, limit: bytes.count + bytes.count / 1_000 + 1_024)
    }
}
