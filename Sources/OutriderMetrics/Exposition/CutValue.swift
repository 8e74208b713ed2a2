// SPDX-License-Identifier: Apache-2.0
// Label values that are too long, and are cut.
//
//     /search?q=aaaaaaaaaaaaaaaaaaaaaaaaaaa…0d4d8f3c5a1be977
//
// The beginning of the value is kept, in whole scalars, followed by an ellipsis and a hash of the
// whole value in 16 hexadecimal digits. So two values that only differ at the end stay two series,
// and a value gives the same series in each process and after each restart. The hash is FNV-1a of
// 64 bits (draft-eastlake-fnv). It is not secret: a client that constructs two values with the same
// hash and beginning only merges its own series.

/// Cuts label values.
enum CutValue {
    private static let mark = "…"
    private static let digits = 16

    /// Cuts a value that has more than `longest` bytes to that length, or a few bytes less.
    static func text(of value: String, longest: Int) -> String {
        let bytes = value.utf8
        var end =
            bytes.index(
                bytes.startIndex, offsetBy: max(0, longest - mark.utf8.count - digits),
                limitedBy: bytes.endIndex) ?? bytes.endIndex
        // Bytes from 0x80 to 0xBF continue a scalar (RFC 3629, section 3).
        while end > bytes.startIndex, end < bytes.endIndex, bytes[end] & 0xC0 == 0x80 {
            end = bytes.index(before: end)
        }
        let hash = String(hash(of: value), radix: 16)
        let zeros = String(repeating: "0", count: digits - hash.utf8.count)
        return value[..<end] + mark + zeros + hash
    }

    /// The label value of a series: unchanged if it is short enough, otherwise cut.
    static func kept(_ value: String, longest: Int) -> String {
        value.utf8.count > longest ? text(of: value, longest: longest) : value
    }

    private static func hash(of value: String) -> UInt64 {
        let span = value.utf8.span
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in span.indices { hash = (hash ^ UInt64(span[index])) &* 0x0000_0100_0000_01B3 }
        return hash
    }
}
