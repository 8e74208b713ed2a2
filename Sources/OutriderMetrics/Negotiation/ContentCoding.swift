// SPDX-License-Identifier: Apache-2.0
// How an answer is compressed.

internal import CZlib

/// gzip (RFC 1952).
enum ContentCoding {
    /// Below this a body fits into one packet anyway.
    static let smallestBody = 1_400
    /// The quickest level: an exposition repeats itself so much that it already saves nine tenths.
    private static let level: Int32 = 1

    /// The body as a gzip member; nil if that would not make it smaller, or memory is short.
    static func gzip(_ body: [UInt8]) -> [UInt8]? {
        if body.count < smallestBody { return nil }
        let room = body.count - 1
        let compressed = unsafe [UInt8](unsafeUninitializedCapacity: room) { memory, count in
            guard let place = memory.baseAddress else { return }
            unsafe body.withUnsafeBufferPointer { source in
                guard let from = source.baseAddress else { return }
                // SAFETY: zlib stays within the sizes that it is given.
                count = unsafe outrider_gzip(from, source.count, place, memory.count, level)
            }
        }
        return compressed.isEmpty ? nil : compressed
    }
}
