// SPDX-License-Identifier: Apache-2.0
// A label block: the labels of a series as written between the braces, `method="GET",route="/"`.
//
// It is rendered once, when a series is created or looked up, and not by scrapes. Names are in the
// family's order, values are escaped, and a label with an empty value is omitted (Prometheus treats
// it as missing). So two label sets are equal exactly if their blocks are; a value that is cut
// (CutValue) ends in a hash of the whole value.

/// Renders and reads label blocks.
enum LabelBlock {
    /// The maximum size of a series' labels in bytes; larger ones would bloat every scrape.
    static let limit = 64 << 10

    /// Calls `body` with the rendered block and the number of values that were cut.
    ///
    /// `order[i]` is the index in `values` of the value of the i-th name.
    ///
    /// - Parameter longest: The maximum number of bytes of a value before escaping; longer values
    ///   are cut.
    /// - Returns: The result of `body`; nil if the labels exceed the maximum size.
    @inline(__always)
    static func withRendered<Result>(
        heads: LabelHeads, values: Span<String>, order: [Int]?, longest: Int,
        _ body: (_ block: UnsafeBufferPointer<UInt8>, _ cuts: Int) -> Result
    ) -> Result? {
        var bound = heads.bytes.count + heads.count + 1
        var cuts = 0
        for index in values.indices {
            let count = values[index].utf8.count
            if count > longest { cuts += 1 }
            bound += min(count, longest) * 2
        }
        if bound > limit { return nil }
        return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: bound) { memory in
            var writer = unsafe ByteWriter(memory)
            unsafe heads.bytes.withUnsafeBufferPointer { bytes in
                var start = 0
                for position in 0..<heads.count {
                    let end = heads.ends[position]
                    let index = order?[position] ?? position
                    defer { start = end }
                    if values[index].isEmpty { continue }
                    let skipped = writer.count == 0 ? 1 : 0
                    unsafe writer.append(.init(rebasing: bytes[start + skipped..<end]))
                    if cuts > 0, values[index].utf8.count > longest {
                        writer.appendEscaped(CutValue.text(of: values[index], longest: longest))
                    } else {
                        writer.appendEscaped(values[index])
                    }
                    writer.append(UInt8(ascii: "\""))
                }
            }
            return unsafe body(UnsafeBufferPointer(rebasing: memory[..<writer.count]), cuts)
        }
    }

    /// The escaped label value, as written between the quotes.
    static func escaped(_ value: String) -> [UInt8] {
        // Without capacity it would write to the storage that all empty arrays share.
        if value.isEmpty { return [] }
        return unsafe [UInt8](unsafeUninitializedCapacity: value.utf8.count * 2) { memory, count in
            var writer = unsafe ByteWriter(memory)
            writer.appendEscaped(value)
            count = writer.count
        }
    }

    /// Whether a block has all of these pairs, whose values are already escaped.
    ///
    /// A pair with an empty value matches a missing label.
    static func contains(
        _ pairs: [(name: [UInt8], value: [UInt8])], in block: UnsafeBufferPointer<UInt8>
    ) -> Bool {
        pairs.allSatisfy { pair in
            unsafe (value(of: pair.name, in: block)).elementsEqual(pair.value)
        }
    }

    /// Calls `body` with the name and the escaped value of each label of a block.
    static func forEachLabel(
        in block: UnsafeBufferPointer<UInt8>,
        _ body: (_ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) -> Void
    ) {
        var start = 0
        while start < block.count {
            guard let equals = unsafe block[start...].firstIndex(of: UInt8(ascii: "=")) else {
                return
            }
            let first = equals + 2
            var end = first
            while unsafe end < block.count && block[end] != UInt8(ascii: "\"") {
                end += unsafe block[end] == UInt8(ascii: "\\") ? 2 : 1
            }
            if end > block.count { return }
            unsafe body(
                .init(rebasing: block[start..<equals]), .init(rebasing: block[first..<end]))
            start = end + 2
        }
    }

    /// The original text of an escaped label value.
    static func unescaped(_ value: some Sequence<UInt8>) -> String {
        var bytes: [UInt8] = []
        var isEscaped = false
        for byte in value {
            if !isEscaped, byte == UInt8(ascii: "\\") {
                isEscaped = true
                continue
            }
            bytes.append(isEscaped && byte == UInt8(ascii: "n") ? UInt8(ascii: "\n") : byte)
            isEscaped = false
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The escaped value of a label in a block; empty if the label is missing.
    private static func value(
        of name: [UInt8], in block: UnsafeBufferPointer<UInt8>
    ) -> UnsafeBufferPointer<UInt8>.SubSequence {
        var rest = unsafe block[...]
        while let equals = unsafe rest.firstIndex(of: UInt8(ascii: "=")) {
            let found = unsafe rest[..<equals].elementsEqual(name)
            let start = equals + 2
            var end = start
            while unsafe end < rest.endIndex && rest[end] != UInt8(ascii: "\"") {
                end += unsafe rest[end] == UInt8(ascii: "\\") ? 2 : 1
            }
            if found { return unsafe rest[start..<end] }
            unsafe rest = unsafe rest[min(end + 2, rest.endIndex)...]
        }
        return unsafe rest[rest.endIndex...]
    }
}

/// The bytes before each value, stored contiguously: `,method="`, `,route="`.
///
/// The first label with a value is written without the comma.
struct LabelHeads: Sendable {
    let bytes: [UInt8]
    let ends: [Int]

    init(_ names: [String]) {
        var bytes: [UInt8] = []
        ends = names.map { name in
            bytes += ",\(name)=\"".utf8
            return bytes.count
        }
        self.bytes = bytes
    }

    /// The number of labels.
    var count: Int { ends.count }
}
