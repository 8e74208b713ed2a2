// SPDX-License-Identifier: Apache-2.0
// How an answer is compressed.

internal import OutriderWire

/// gzip (RFC 1952).
enum ContentCoding {
    /// Below this a body fits into one packet anyway.
    static let smallestBody = 1_400

    /// The body as a gzip member; nil if that would not make it smaller, or memory is short.
    static func gzip(_ body: [UInt8]) -> [UInt8]? {
        body.count < smallestBody ? nil : Gzip.member(body, limit: body.count - 1)
    }
}
