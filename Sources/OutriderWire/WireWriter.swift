// SPDX-License-Identifier: Apache-2.0
// A writer for the protocol buffers wire format.
//
// It is hand-written because a generator's runtime would become a dependency of every user of the
// core, and the two formats that need it (profile.proto, Prometheus' metrics.proto) have only about
// twenty fields. Source: protobuf.dev, "Encoding".

/// Writes the fields of a message in sequence.
public struct WireWriter: Sendable {
    /// The bytes written so far.
    public private(set) var bytes: [UInt8] = []

    private enum WireType: UInt64 {
        case varint = 0
        case fixed64 = 1
        case lengthDelimited = 2
    }

    /// Creates an empty message.
    public init() {}

    /// Reserves capacity for this many more bytes.
    public mutating func reserve(_ count: Int) {
        bytes.reserveCapacity(bytes.count + count)
    }

    /// Adds a field of type `uint64`; omitted if it is 0, the format's default.
    public mutating func add(_ field: UInt64, _ value: UInt64) {
        if value == 0 { return }
        tag(field, .varint)
        varint(value)
    }

    /// Adds a field of type `int64`; omitted if it is 0.
    public mutating func add(_ field: UInt64, _ value: Int64) {
        add(field, UInt64(bitPattern: value))
    }

    /// Adds a field of type `bool`; omitted if it is false.
    public mutating func add(_ field: UInt64, _ value: Bool) {
        add(field, value ? 1 : 0 as UInt64)
    }

    /// Adds a field of type `sint32` or `sint64`; omitted if it is 0, unless `showsZero` is true.
    public mutating func add(_ field: UInt64, signed value: Int64, showsZero: Bool = false) {
        if value == 0, !showsZero { return }
        tag(field, .varint)
        varint(UInt64(bitPattern: value << 1 ^ value >> 63))
    }

    /// Adds a field of type `double`, even if it is 0: such a field is never left to its default.
    public mutating func add(_ field: UInt64, _ value: Double) {
        tag(field, .fixed64)
        var rest = value.bitPattern
        for _ in 0..<8 {
            bytes.append(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
    }

    /// Adds a field of type `string` or `bytes`.
    public mutating func add(_ field: UInt64, _ value: UnsafeBufferPointer<UInt8>) {
        tag(field, .lengthDelimited)
        varint(UInt64(value.count))
        unsafe bytes.append(contentsOf: value)
    }

    /// Adds a field of type `string`, even if it is empty: in a string table, it has an index.
    public mutating func add(_ field: UInt64, _ value: String) {
        tag(field, .lengthDelimited)
        let utf8 = value.utf8
        varint(UInt64(utf8.count))
        bytes.append(contentsOf: utf8)
    }

    /// Adds a nested message.
    public mutating func add(_ field: UInt64, _ message: WireWriter) {
        tag(field, .lengthDelimited)
        varint(UInt64(message.bytes.count))
        bytes.append(contentsOf: message.bytes)
    }

    /// Writes the tag and length of a field whose bytes the caller writes.
    public mutating func begin(_ field: UInt64, length: Int) {
        tag(field, .lengthDelimited)
        varint(UInt64(length))
    }

    /// Writes the length of a message whose bytes the caller writes.
    public mutating func begin(length: Int) { varint(UInt64(length)) }

    /// Removes all bytes, but keeps the capacity.
    public mutating func clear() {
        bytes.removeAll(keepingCapacity: true)
    }

    /// Adds a packed field of type `repeated uint64`.
    public mutating func add(_ field: UInt64, packed values: some Sequence<UInt64>) {
        var content = WireWriter()
        for value in values { content.varint(value) }
        if !content.bytes.isEmpty { add(field, content) }
    }

    /// Adds a packed field of type `repeated int64`.
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
