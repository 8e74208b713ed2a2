// SPDX-License-Identifier: Apache-2.0
// Parsing of the kernel's text files in place, without copies or allocations.
//
// Strict: a number ends where its field ends, and a field cut off by the end of the text is
// rejected. So truncated or unexpected content results in nil rather than a wrong number. No
// imports, so that a fuzzer can be built from this file alone.

/// Functions that find numbers in a text; every function accepts arbitrary bytes.
enum KernelText {
    private static let newline = UInt8(ascii: "\n")

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }

    /// Whether the text contains `word` at `start`.
    static func matches(_ word: StaticString, at start: Int, in text: borrowing Span<UInt8>) -> Bool
    {
        let count = word.utf8CodeUnitCount
        guard start >= 0, start <= text.count - count else { return false }
        for index in 0..<count {
            // SAFETY: the index is below the number of the literal's code units.
            let expected = unsafe word.utf8Start[index]
            if text[start + index] != expected { return false }
        }
        return true
    }

    /// The offset of the first non-blank byte at or after `start`.
    static func skipBlanks(_ start: Int, in text: borrowing Span<UInt8>) -> Int {
        var position = start
        while position < text.count, isBlank(text[position]) { position += 1 }
        return position
    }

    /// The offset just past the field that starts at `start`.
    static func fieldEnd(_ start: Int, in text: borrowing Span<UInt8>) -> Int {
        var position = start
        while position < text.count {
            let byte = text[position]
            // Few bytes of a field are at or below a space.
            if byte <= UInt8(ascii: " "), isBlank(byte) || byte == newline { break }
            position += 1
        }
        return position
    }

    /// The offset after the next line end at or after `start`; nil if there is none.
    static func nextLine(_ start: Int, in text: borrowing Span<UInt8>) -> Int? {
        var position = start
        while position < text.count {
            if text[position] == newline { return position + 1 }
            position += 1
        }
        return nil
    }

    /// The whole number in the field at `start`, which must be only digits and not end the text.
    static func number(_ start: Int, in text: borrowing Span<UInt8>) -> Int? {
        let end = fieldEnd(start, in: text)
        guard end > start, end < text.count else { return nil }
        var value = 0
        for position in start..<end {
            let digit = text[position]
            guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { return nil }
            let (tens, overflows) = value.multipliedReportingOverflow(by: 10)
            let (sum, exceeds) = tens.addingReportingOverflow(Int(digit - UInt8(ascii: "0")))
            if overflows || exceeds { return nil }
            value = sum
        }
        return value
    }

    /// The offset after `key` on the first line that starts with it.
    static func line(_ key: StaticString, in text: borrowing Span<UInt8>) -> Int? {
        var start = 0
        while true {
            if matches(key, at: start, in: text) { return start + key.utf8CodeUnitCount }
            guard let next = nextLine(start, in: text) else { return nil }
            start = next
        }
    }

    /// The number after `key` on the first line that starts with it.
    static func value(_ key: StaticString, in text: borrowing Span<UInt8>) -> Int? {
        guard let position = line(key, in: text) else { return nil }
        return number(skipBlanks(position, in: text), in: text)
    }

    /// The number after the field `name` on the first line that starts with `key`.
    static func pair(
        _ name: StaticString, onLine key: StaticString, in text: borrowing Span<UInt8>
    ) -> Int? {
        guard var position = line(key, in: text) else { return nil }
        while true {
            position = skipBlanks(position, in: text)
            let end = fieldEnd(position, in: text)
            if end == position { return nil }
            if end - position == name.utf8CodeUnitCount, matches(name, at: position, in: text) {
                return number(skipBlanks(end, in: text), in: text)
            }
            position = end
        }
    }

    /// The columns of a table: a line of names followed by a line of numbers, both starting with
    /// the table's name (proc_net(5)).
    struct Columns {
        private var name: Int
        private var value: Int

        /// The columns of `table`; nil if it is missing.
        init?(of table: StaticString, in text: borrowing Span<UInt8>) {
            guard let names = line(table, in: text), let row = nextLine(names, in: text),
                matches(table, at: row, in: text)
            else { return nil }
            (name, value) = (names, row + table.utf8CodeUnitCount)
        }

        /// The next column's name and the offset of its number; nil at the end of either line.
        mutating func next(in text: borrowing Span<UInt8>) -> (name: Range<Int>, value: Int)? {
            let nameStart = skipBlanks(name, in: text)
            let valueStart = skipBlanks(value, in: text)
            name = fieldEnd(nameStart, in: text)
            value = fieldEnd(valueStart, in: text)
            if name == nameStart || value == valueStart { return nil }
            return (nameStart..<name, valueStart)
        }
    }

    /// Whether a range of the text equals `word`.
    static func equals(
        _ word: StaticString, _ range: Range<Int>, in text: borrowing Span<UInt8>
    ) -> Bool {
        range.count == word.utf8CodeUnitCount && matches(word, at: range.lowerBound, in: text)
    }
}
