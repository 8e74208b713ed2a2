// SPDX-License-Identifier: Apache-2.0
// Redis commands and replies in RESP, version 2.
//
// Source: Redis, "Redis serialization protocol specification".

import NIOCore

/// A reply, or a published message.
enum RedisValue: Equatable, Sendable {
    case text(String)
    case error(String)
    case integer(Int)
    case bytes(ByteBuffer)
    case array([RedisValue])
    case null

    var integer: Int? { if case .integer(let value) = self { value } else { nil } }

    /// A status, or bytes as text.
    var string: String? {
        switch self {
        case .text(let text): text
        case .bytes(let buffer): String(buffer: buffer)
        default: nil
        }
    }
}

/// Splits the bytes of a connection into replies.
struct RedisDecoder: NIOSingleStepByteToMessageDecoder {
    typealias InboundOut = RedisValue

    /// The bytes are not valid RESP.
    struct Garbled: Error {}

    /// Limits on the length of a text or array, and on the nesting of arrays.
    private static let sizeLimit = 16 << 20
    private static let depthLimit = 8

    func decode(buffer: inout ByteBuffer) throws -> RedisValue? {
        var rest = buffer
        guard let value = try Self.value(from: &rest, depth: 0) else { return nil }
        buffer = rest
        return value
    }

    func decodeLast(buffer: inout ByteBuffer, seenEOF: Bool) throws -> RedisValue? {
        try decode(buffer: &buffer)
    }

    private static func value(from buffer: inout ByteBuffer, depth: Int) throws -> RedisValue? {
        guard depth <= depthLimit else { throw Garbled() }
        guard let kind = buffer.readInteger(as: UInt8.self), let line = try line(from: &buffer)
        else { return nil }
        switch kind {
        case UInt8(ascii: "+"): return .text(line)
        case UInt8(ascii: "-"): return .error(line)
        case UInt8(ascii: ":"): return .integer(try integer(line))
        case UInt8(ascii: "$"):
            let count = try integer(line)
            if count == -1 { return .null }
            guard (0...sizeLimit).contains(count) else { throw Garbled() }
            guard buffer.readableBytes >= count + 2, let bytes = buffer.readSlice(length: count)
            else { return nil }
            buffer.moveReaderIndex(forwardBy: 2)
            return .bytes(bytes)
        case UInt8(ascii: "*"):
            let count = try integer(line)
            if count == -1 { return .null }
            guard (0...sizeLimit).contains(count) else { throw Garbled() }
            var values: [RedisValue] = []
            for _ in 0..<count {
                guard let value = try value(from: &buffer, depth: depth + 1) else { return nil }
                values.append(value)
            }
            return .array(values)
        default: throw Garbled()
        }
    }

    private static func line(from buffer: inout ByteBuffer) throws -> String? {
        guard let end = buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\r")) else {
            if buffer.readableBytes > 65_536 { throw Garbled() }
            return nil
        }
        let count = end - buffer.readerIndex
        guard buffer.readableBytes >= count + 2 else { return nil }
        defer { buffer.moveReaderIndex(forwardBy: 2) }
        return buffer.readString(length: count)
    }

    private static func integer(_ text: String) throws -> Int {
        guard let value = Int(text) else { throw Garbled() }
        return value
    }
}

/// A command with its arguments.
struct RedisCommand: Sendable {
    private(set) var bytes = ByteBuffer()

    init(_ words: [String]) {
        bytes.writeString("*\(words.count)\r\n")
        for word in words { bytes.writeString("$\(word.utf8.count)\r\n\(word)\r\n") }
    }
}
