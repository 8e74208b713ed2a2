// SPDX-License-Identifier: Apache-2.0
// A scanner for one line of an exposition.
//
// The formats differ in their blanks: the text format allows any number of blanks and tabs between
// two words, OpenMetrics exactly one blank.
//
// The loops use array indices: without optimization, each step of an algorithm over slices
// allocates, and this code runs in users' tests.

/// A cursor over the bytes of one line, which are valid UTF-8.
struct LineScanner {
    let number: Int
    let format: Exposition.Format
    private let bytes: [UInt8]
    /// The index in `bytes` of the next byte to read.
    private var position: Int
    /// The index in `bytes` just past the line.
    private let lineEnd: Int

    init(_ bytes: [UInt8], line: Range<Int>, number: Int, format: Exposition.Format) {
        self.number = number
        self.format = format
        self.bytes = bytes
        position = line.lowerBound
        lineEnd = line.upperBound
        skipBlanks()
    }

    /// Whether the scanner is at the end of the line.
    var isAtEnd: Bool { position >= lineEnd }

    /// The remainder of the line, for messages.
    var remainder: String { text(from: position, to: lineEnd) }

    /// The next byte; nil at the end of the line.
    private var next: UInt8? { position < lineEnd ? bytes[position] : nil }

    private func text(from start: Int, to end: Int) -> String {
        String(decoding: bytes[start..<end], as: UTF8.self)
    }

    /// The index of the next byte that is not a space or tab, or of the end of the line.
    private var endOfBlanks: Int {
        var end = position
        while end < lineEnd, Self.isBlank(bytes[end]) { end += 1 }
        return end
    }

    /// Creates an error about this line.
    func failure(_ problem: String) -> ExpositionError {
        ExpositionError(line: number, problem: problem)
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }

    /// Skips a byte if it comes next.
    mutating func skip(_ byte: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: byte) else { return false }
        position += 1
        return true
    }

    /// Skips optional blanks; OpenMetrics has none.
    mutating func skipBlanks() {
        if format == .text { position = endOfBlanks }
    }

    /// Skips the separator between two words.
    mutating func separator(before what: String) throws(ExpositionError) {
        let end = endOfBlanks
        if end == position {
            throw failure("a blank is missing before \(what)")
        }
        if format == .openMetrics, end > position + 1 || next == UInt8(ascii: "\t") {
            throw failure("there must be exactly one blank before \(what)")
        }
        position = end
    }

    /// The bytes up to the next blank; empty at the end of the line.
    mutating func word() -> String {
        let start = position
        while let byte = next, !Self.isBlank(byte) { position += 1 }
        return text(from: start, to: position)
    }

    /// The name of a metric or a label; nil if there is none.
    mutating func name(allowingColon: Bool) -> String? {
        let start = position
        while let byte = next, Self.isOfName(byte, isFirst: position == start, allowingColon) {
            position += 1
        }
        return position == start ? nil : text(from: start, to: position)
    }

    private static func isOfName(_ byte: UInt8, isFirst: Bool, _ allowsColon: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): !isFirst
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"): true
        case UInt8(ascii: ":"): allowsColon
        default: false
        }
    }

    /// Parses a quoted value; removes the quotes and unescapes it.
    mutating func quoted() throws(ExpositionError) -> String {
        guard skip("\"") else { throw failure("a label value must be quoted") }
        var end = position
        while end < lineEnd, bytes[end] != UInt8(ascii: "\"") {
            end += bytes[end] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard end < lineEnd else { throw failure("the quotes of a label value are not closed") }
        let value = try unescaped(to: end, isQuoteEscaped: true)
        position = end + 1
        return value
    }

    /// Parses the rest of the line as a help text and unescapes it.
    mutating func help() throws(ExpositionError) -> String {
        let text = try unescaped(to: lineEnd, isQuoteEscaped: format == .openMetrics)
        position = lineEnd
        return text
    }

    /// Decodes the escapes in the bytes from the current position up to `end`.
    private func unescaped(to end: Int, isQuoteEscaped: Bool) throws(ExpositionError) -> String {
        var plain: [UInt8] = []
        var index = position
        while index < end {
            let byte = bytes[index]
            guard byte == UInt8(ascii: "\\") else {
                if isQuoteEscaped, byte == UInt8(ascii: "\"") {
                    throw failure("a quote must be escaped here")
                }
                plain.append(byte)
                index += 1
                continue
            }
            let escaped = index + 1 < end ? bytes[index + 1] : 0
            switch escaped {
            case UInt8(ascii: "\\"): plain.append(escaped)
            case UInt8(ascii: "n"): plain.append(UInt8(ascii: "\n"))
            case UInt8(ascii: "\"") where isQuoteEscaped: plain.append(escaped)
            default:
                let escape = text(from: index, to: min(index + 2, end))
                throw failure("\(escape) is not an escape")
            }
            index += 2
        }
        return String(decoding: plain, as: UTF8.self)
    }

    /// Skips the opening brace of labels, if it comes next.
    mutating func opensLabels() -> Bool {
        var ahead = self
        ahead.skipBlanks()
        guard ahead.skip("{") else { return false }
        self = ahead
        return true
    }

    /// Whether anything but blanks is left; in OpenMetrics blanks count too.
    var hasMore: Bool {
        var ahead = self
        ahead.skipBlanks()
        return !ahead.isAtEnd
    }

    /// Whether an exemplar comes next.
    var isAtExemplar: Bool { next == UInt8(ascii: "#") }

    /// Requires the end of the line, after optional blanks in the text format.
    mutating func end() throws(ExpositionError) {
        skipBlanks()
        if !isAtEnd { throw failure("unexpected \"\(remainder)\" at the end of the line") }
    }
}
