// SPDX-License-Identifier: Apache-2.0
// The wire format of protocol buffers, written straight into bytes.
//
// Hand-written since a generator's runtime would reach every user of the core, and since the two
// formats that need it (profile.proto, Prometheus' metrics.proto) have some twenty fields in all.
// Source: protobuf.dev, "Encoding".

/// Writes fields of a message, one after the other.
public struct WireWriter: Sendable {
    /// What has been written.
    public private(set) var bytes: [UInt8] = []

    private enum WireType: UInt64 {
        case varint = 0
        case fixed64 = 1
        case lengthDelimited = 2
    }

    /// An empty message.
    public init() {}

    /// Makes room for so many bytes more.
    public mutating func reserve(_ count: Int) {
        bytes.reserveCapacity(bytes.count + count)
    }

    /// A field of type `uint64`; left out if it is 0, as the format wants its defaults.
    public mutating func add(_ field: UInt64, _ value: UInt64) {
        if value == 0 { return }
        tag(field, .varint)
        varint(value)
    }

    /// A field of type `int64`; left out if it is 0.
    public mutating func add(_ field: UInt64, _ value: Int64) {
        add(field, UInt64(bitPattern: value))
    }

    /// A field of type `bool`; left out if it is false.
    public mutating func add(_ field: UInt64, _ value: Bool) {
        add(field, value ? 1 : 0 as UInt64)
    }

    /// A field of type `sint32` or `sint64`; left out if it is 0, unless it is one of a list.
    public mutating func add(_ field: UInt64, signed value: Int64, showsZero: Bool = false) {
        if value == 0, !showsZero { return }
        tag(field, .varint)
        varint(UInt64(bitPattern: value << 1 ^ value >> 63))
    }

    /// A field of type `double`, 0 too: what is there is never left to a default.
    public mutating func add(_ field: UInt64, _ value: Double) {
        tag(field, .fixed64)
        var rest = value.bitPattern
        for _ in 0..<8 {
            bytes.append(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
    }

    /// A field of type `string` or `bytes`.
    public mutating func add(_ field: UInt64, _ value: UnsafeBufferPointer<UInt8>) {
        tag(field, .lengthDelimited)
        varint(UInt64(value.count))
        unsafe bytes.append(contentsOf: value)
    }

    /// A field of type `string`, in an empty one too: a table of strings counts them.
    public mutating func add(_ field: UInt64, _ value: String) {
        tag(field, .lengthDelimited)
        let utf8 = value.utf8
        varint(UInt64(utf8.count))
        bytes.append(contentsOf: utf8)
    }

    /// A field that is a message of its own.
    public mutating func add(_ field: UInt64, _ message: WireWriter) {
        tag(field, .lengthDelimited)
        varint(UInt64(message.bytes.count))
        bytes.append(contentsOf: message.bytes)
    }

    /// The beginning of a field of so many bytes, which somebody else writes.
    public mutating func begin(_ field: UInt64, length: Int) {
        tag(field, .lengthDelimited)
        varint(UInt64(length))
    }

    /// How long a message of a stream is, which somebody else writes.
    public mutating func begin(length: Int) { varint(UInt64(length)) }

    /// Forgets what was written, but keeps the room.
    public mutating func clear() {
        bytes.removeAll(keepingCapacity: true)
    }

    /// A field of type `repeated uint64`, packed.
    public mutating func add(_ field: UInt64, packed values: some Sequence<UInt64>) {
        var content = WireWriter()
        for value in values { content.varint(value) }
        if !content.bytes.isEmpty { add(field, content) }
    }

    /// A field of type `repeated int64`, packed.
    public mutating func add(_ field: UInt64, packed values: some Sequence<Int64>) {
        add(field, packed: values.lazy.map { UInt64(bitPattern: $0) })
    }

    private mutating func tag(_ field: UInt64, _ type: WireType) {
        varint(field << 3 | type.rawValue)
    }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }
}
