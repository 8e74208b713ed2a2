// SPDX-License-Identifier: Apache-2.0
// Compression of responses.

internal import OutriderThreading
internal import OutriderWire

/// gzip (RFC 1952).
enum ContentCoding {
    /// Smaller bodies fit into one packet anyway.
    static let smallestBody = 1_400

    /// Compresses the first bytes of a body into a gzip member; nil if it is not smaller, or memory
    /// is short.
    static func gzip(_ body: MappedMemory, count: Int) -> BodyBytes? {
        guard count >= smallestBody, let memory = MappedMemory(capacity: count) else { return nil }
        let room = unsafe UnsafeMutableBufferPointer(rebasing: memory.bytes[..<(count - 1)])
        let written = unsafe Gzip.member(body.first(count), into: room)
        return written == 0 ? nil : BodyBytes(memory, count: written)
    }
}
