// SPDX-License-Identifier: Apache-2.0
// How an answer is compressed.

internal import OutriderThreading
internal import OutriderWire

/// gzip (RFC 1952).
enum ContentCoding {
    /// Below this a body fits into one packet anyway.
    static let smallestBody = 1_400

    /// The first bytes of some memory as a gzip member; nil if that is not smaller, or memory is short.
    static func gzip(_ body: MappedMemory, count: Int) -> BodyBytes? {
        guard count >= smallestBody, let memory = MappedMemory(capacity: count) else { return nil }
        let room = unsafe UnsafeMutableBufferPointer(rebasing: memory.bytes[..<(count - 1)])
        let written = unsafe Gzip.member(body.first(count), into: room)
        return written == 0 ? nil : BodyBytes(memory, count: written)
    }
}
