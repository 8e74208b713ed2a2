// SPDX-License-Identifier: Apache-2.0
// Whether a scraper wants its answer compressed, and how that is done.

internal import CZlib

/// gzip, or nothing.
enum ContentCoding {
    /// Below this a body fits into one packet anyway.
    static let smallestBody = 1_400
    /// The quickest level: an exposition repeats itself so much that it already saves nine tenths.
    private static let level: Int32 = 1

    /// Whether `acceptEncoding` prefers gzip to nothing (RFC 9110, 12.5.3).
    static func allowsGzip(_ acceptEncoding: String?) -> Bool {
        guard let acceptEncoding else { return false }
        let items = WeightedItem.list(acceptEncoding)
        func quality(of names: String...) -> Int? {
            items.first { names.contains($0.name) }?.quality
        }
        let gzip = quality(of: "gzip", "x-gzip") ?? quality(of: "*") ?? 0
        return gzip > 0 && gzip >= quality(of: "identity") ?? 0
    }

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
