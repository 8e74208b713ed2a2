// SPDX-License-Identifier: Apache-2.0
// Appends bytes to memory.
//
// A scrape writes a megabyte in a fraction of a millisecond, so nothing here allocates, except to
// grow memory that has become too small. If it cannot grow, the data that does not fit and
// everything after it is dropped.

internal import OutriderThreading

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A cursor over memory that its creator owns, and that may grow.
///
/// Not thread-safe; it must not outlive the memory.
@safe struct ByteWriter: ~Copyable {
    private var start: UnsafeMutablePointer<UInt8>?
    private var capacity: Int
    private let memory: MappedMemory?

    /// The number of bytes written so far.
    private(set) var count = 0
    /// Whether some data did not fit.
    ///
    /// Everything written before that is complete.
    private(set) var overflowed = false

    // SAFETY: marked safe, since every write below checks the remaining capacity. The creator of a
    // writer keeps the memory alive as long as the writer.
    init(_ memory: UnsafeMutableBufferPointer<UInt8>) {
        unsafe start = memory.baseAddress
        capacity = memory.count
        self.memory = nil
    }

    /// Writes into memory that grows as needed.
    init(growing memory: MappedMemory) {
        unsafe start = memory.bytes.baseAddress
        capacity = memory.capacity
        self.memory = memory
    }

    /// The address for `length` more bytes; nil, from then on always, if they do not fit.
    @inline(__always)
    private mutating func reserve(_ length: Int) -> UnsafeMutablePointer<UInt8>? {
        if length > capacity - count, !makeRoom(length) { return nil }
        guard let start = unsafe start else { return nil }
        return unsafe start + count
    }

    @inline(never)
    private mutating func makeRoom(_ length: Int) -> Bool {
        let wanted = max(2 * capacity, count + length)
        if !overflowed, let memory, memory.grow(to: wanted, keeping: count) {
            unsafe start = memory.bytes.baseAddress
            capacity = memory.capacity
            return true
        }
        overflowed = true
        // Nothing more fits from now on.
        capacity = count
        return false
    }

    /// Appends one byte.
    @inline(__always)
    mutating func append(_ byte: UInt8) {
        guard let destination = unsafe reserve(1) else { return }
        unsafe destination.pointee = byte
        count += 1
    }

    /// Appends bytes as they are.
    @inline(__always)
    mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let source = bytes.baseAddress else { return }
        guard let destination = unsafe reserve(bytes.count) else { return }
        // SAFETY: `destination` has room for them, and no other thread writes there.
        unsafe _ = memcpy(destination, source, bytes.count)
        count += bytes.count
    }

    /// Appends bytes as they are.
    @inline(__always)
    mutating func append(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBufferPointer { unsafe append($0) }
    }

    /// Appends a string literal.
    @inline(__always)
    mutating func append(_ text: StaticString) {
        // SAFETY: string literals in this module are never a single scalar.
        unsafe append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Inserts bytes at an offset, moving everything after it.
    mutating func insert(_ bytes: [UInt8], at offset: Int) {
        let moved = count - offset
        guard let end = unsafe reserve(bytes.count) else { return }
        // SAFETY: `reserve` made sure that this many bytes fit.
        unsafe _ = memmove(end - moved + bytes.count, end - moved, moved)
        count = offset
        append(bytes)
        count += moved
    }

    /// Appends a label value with `\`, `"` and line feed escaped.
    mutating func appendEscaped(_ value: borrowing String) {
        let text = value.utf8.span
        unsafe text.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return }
            var rest = 0
            while let index = unsafe EscapedByte.first(in: bytes, from: rest) {
                let byte = unsafe bytes[index]
                unsafe append(UnsafeBufferPointer(start: base + rest, count: index - rest))
                append(UInt8(ascii: "\\"))
                append(byte == 0x0A ? UInt8(ascii: "n") : byte)
                rest = index + 1
            }
            unsafe append(UnsafeBufferPointer(start: base + rest, count: bytes.count - rest))
        }
    }

    /// Appends an integer in decimal digits.
    mutating func append(_ value: UInt64) {
        guard let destination = unsafe reserve(20) else { return }
        count += unsafe DecimalDigits.write(value, to: destination)
    }

    /// Appends a floating-point value in its shortest form: `0.1`, `1e+21`, `+Inf`, `NaN`.
    mutating func append(_ value: Double) {
        guard let destination = unsafe reserve(ShortestDecimal.maximumLength) else { return }
        count += unsafe ShortestDecimal.write(value, to: destination)
    }
}

/// Unsigned integers in decimal digits.
enum DecimalDigits {
    /// Writes the digits of `value`, at most 20, and returns their number.
    static func write(_ value: UInt64, to destination: UnsafeMutablePointer<UInt8>) -> Int {
        let count = length(of: value)
        var rest = value
        var position = count
        repeat {
            position -= 1
            // SAFETY: `count` digits fit, and `position` counts down from there to 0.
            unsafe destination[position] = UInt8(truncatingIfNeeded: 0x30 + rest % 10)
            rest /= 10
        } while rest != 0
        return count
    }

    private static func length(of value: UInt64) -> Int {
        var count = 1
        var limit: UInt64 = 10
        while value >= limit {
            count += 1
            let (next, overflow) = limit.multipliedReportingOverflow(by: 10)
            if overflow { break }
            limit = next
        }
        return count
    }
}

/// The bytes of a label value that need a backslash: `\`, `"` and line feed.
enum EscapedByte {
    /// The index of the first such byte, from `start` on; checks eight bytes per step.
    static func first(in bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        var index = start
        while index + 8 <= bytes.count {
            // SAFETY: the eight bytes lie within the buffer.
            let word = unsafe UnsafeRawPointer(base + index).loadUnaligned(as: UInt64.self)
            let found = hasZero(word ^ every(0x5C)) || hasZero(word ^ every(0x22))
            if found || hasZero(word ^ every(0x0A)) { break }
            index += 8
        }
        while index < bytes.count {
            let byte = unsafe bytes[index]
            if byte == 0x5C || byte == 0x22 || byte == 0x0A { return index }
            index += 1
        }
        return nil
    }

    private static func every(_ byte: UInt64) -> UInt64 { byte &* 0x0101_0101_0101_0101 }

    /// Whether a byte of the word is zero.
    private static func hasZero(_ word: UInt64) -> Bool {
        (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0
    }
}
