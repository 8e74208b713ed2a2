// SPDX-License-Identifier: Apache-2.0
// The hash of a series, which is the same for rendered labels and for the caller's strings.
//
// It covers the values as they are in the rendered labels. A plain series has a value for each
// label, and none of them is escaped. So its rendered values have the same bytes as the caller's
// strings, which find it without being rendered. The two highest bits of a hash mark series that
// are not plain, so that strings that look like escaped text never match one.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Hashes and compares the series of a family.
@safe struct SeriesKey: @unchecked Sendable {
    /// The caller's strings, in the order of the label names.
    typealias Values<let count: Int> = InlineArray<count, UnsafeBufferPointer<UInt8>>

    private static let escaped: UInt64 = 1 << 31
    private static let partial: UInt64 = 1 << 30

    /// The number of labels of a plain series; `Int.max` if labels are open, and no series is
    /// plain.
    private let labelCount: Int
    // SAFETY (of `@unchecked`): written only by `init`, freed by the table that owns it.
    // Bytes from the end of a value to the start of the next, including its quote.
    private let gaps: UnsafeMutablePointer<Int>
    private let keys: LabelHash.Keys

    /// - Parameter heads: The bytes before each value; nil if no series is plain.
    init(_ heads: LabelHeads?) {
        labelCount = heads?.count ?? .max
        keys = LabelHash.keys
        unsafe gaps = .allocate(capacity: (heads?.count ?? 0) + 1)
        var start = 1
        for (index, end) in (heads?.ends ?? []).enumerated() {
            unsafe gaps[index] = end - start + (index == 0 ? 0 : 1)
            start = end
        }
    }

    /// Frees its memory.
    func destroy() { unsafe gaps.deallocate() }

    /// The 32-bit hash of rendered labels.
    func hash(of key: UnsafeBufferPointer<UInt8>) -> UInt64 {
        guard let base = key.baseAddress else { return Self.partial }
        let end = unsafe base + key.count
        let hasEscapes = unsafe memchr(base, Int32(UInt8(ascii: "\\")), key.count) != nil
        var hash = LabelHash.Sum(keys)
        var count = 0
        var rest = unsafe base
        // SAFETY: every search stays between here and the end.
        while let equals = unsafe Self.first(UInt8(ascii: "="), from: rest, to: end) {
            let value = unsafe equals + 2
            let quote =
                unsafe hasEscapes
                ? Self.closingQuote(from: value, to: end)
                : Self.first(UInt8(ascii: "\""), from: value, to: end)
            guard let quote = unsafe quote else { break }
            unsafe hash.add(UnsafeBufferPointer(start: value, count: quote - value))
            count += 1
            unsafe rest = quote + 1
        }
        return hash.bits | (hasEscapes ? Self.escaped : 0)
            | (count == labelCount ? 0 : Self.partial)
    }

    @inline(__always)
    private static func first(
        _ byte: UInt8, from start: UnsafePointer<UInt8>, to end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8>? {
        guard unsafe start < end else { return nil }
        let found = unsafe memchr(start, Int32(byte), end - start)
        return unsafe found.map { unsafe UnsafePointer($0.assumingMemoryBound(to: UInt8.self)) }
    }

    private static func closingQuote(
        from start: UnsafePointer<UInt8>, to end: UnsafePointer<UInt8>
    ) -> UnsafePointer<UInt8>? {
        var position = unsafe start
        while unsafe position < end {
            if unsafe position.pointee == UInt8(ascii: "\"") { return unsafe position }
            unsafe position += unsafe position.pointee == UInt8(ascii: "\\") ? 2 : 1
        }
        return nil
    }

    /// The 32-bit hash of a plain series with these values; nil if the series would not be plain.
    @inline(__always)
    func hash<let count: Int>(of values: Values<count>) -> UInt64? {
        guard count == labelCount else { return nil }
        var hash = LabelHash.Sum(keys)
        for index in 0..<count {
            if unsafe values[index].isEmpty { return nil }
            unsafe hash.add(values[index])
        }
        return hash.bits
    }

    /// Whether these are the labels of a plain series with these values.
    @inline(__always)
    func matches<let count: Int>(
        _ values: Values<count>, _ labels: UnsafeBufferPointer<UInt8>
    ) -> Bool {
        guard let base = labels.baseAddress else { return false }
        var position = 0
        for index in 0..<count {
            // SAFETY: there is a gap for each label.
            position += unsafe gaps[index]
            let value = unsafe values[index]
            // In a plain series, a quote always ends a value, and the next label's head follows it.
            guard let text = value.baseAddress, position + value.count < labels.count,
                unsafe memcmp(base + position, text, value.count) == 0,
                unsafe base[position + value.count] == UInt8(ascii: "\"")
            else { return false }
            position += value.count
        }
        return position + 1 == labels.count
    }
}
