// SPDX-License-Identifier: Apache-2.0
// Reads one line of an exposition from left to right.
//
// The formats differ in their blanks: the text format takes any number of blanks and tabs between
// two words, OpenMetrics exactly one blank.

/// A cursor over the bytes of one line, which are valid UTF-8.
struct LineScanner {
    let number: Int
    let format: Exposition.Format
    private var rest: ArraySlice<UInt8>

    init(_ line: ArraySlice<UInt8>, number: Int, format: Exposition.Format) {
        self.number = number
        self.format = format
        rest = line
        if format == .text {
            rest = rest.drop(while: Self.isBlank)
        }
    }

    /// Whether nothing is left of the line.
    var isAtEnd: Bool { rest.isEmpty }

    /// What is left of the line, for messages.
    var remainder: String { String(decoding: rest, as: UTF8.self) }

    /// An error about this line.
    func failure(_ problem: String) -> ExpositionError {
        ExpositionError(line: number, problem: problem)
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }

    /// Steps over a byte, if it is the next one.
    mutating func skip(_ byte: Unicode.Scalar) -> Bool {
        guard let next = rest.first, next == UInt8(ascii: byte) else { return false }
        rest.removeFirst()
        return true
    }

    /// Steps over blanks that may be there or not; OpenMetrics has none.
    mutating func skipBlanks() {
        if format == .text { rest = rest.drop(while: Self.isBlank) }
    }

    /// Steps over what separates two words.
    mutating func separator(before what: String) throws(ExpositionError) {
        let length = rest.prefix(while: Self.isBlank).count
        if length == 0 {
            throw failure("a blank is missing before \(what)")
        }
        if format == .openMetrics, length > 1 || rest.first == UInt8(ascii: "\t") {
            throw failure("there must be exactly one blank before \(what)")
        }
        rest = rest.dropFirst(length)
    }

    /// The bytes up to the next blank; empty at the end of the line.
    mutating func word() -> String {
        let word = rest.prefix { !Self.isBlank($0) }
        rest = rest.dropFirst(word.count)
        return String(decoding: word, as: UTF8.self)
    }

    /// The name of a metric or a label; nil if there is none.
    mutating func name(allowingColon: Bool) -> String? {
        guard let first = rest.first, !(0x30...0x39).contains(first) else { return nil }
        let name = rest.prefix { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"): true
            case UInt8(ascii: ":"): allowingColon
            default: false
            }
        }
        if name.isEmpty { return nil }
        rest = rest.dropFirst(name.count)
        return String(decoding: name, as: UTF8.self)
    }

    /// A value in quotes, without them and without its escapes.
    mutating func quoted() throws(ExpositionError) -> String {
        guard skip("\"") else { throw failure("a label value must stand in quotes") }
        var end = rest.startIndex
        while end < rest.endIndex, rest[end] != UInt8(ascii: "\"") {
            end += rest[end] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard end < rest.endIndex else { throw failure("the quotes of a label value never close") }
        let value = try unescaped(rest[..<end], isQuoteEscaped: true)
        rest = rest[(end + 1)...]
        return value
    }

    /// The rest of the line as a help text, without its escapes.
    mutating func help() throws(ExpositionError) -> String {
        let text = try unescaped(rest, isQuoteEscaped: format == .openMetrics)
        rest = []
        return text
    }

    private func unescaped(
        _ bytes: ArraySlice<UInt8>, isQuoteEscaped: Bool
    ) throws(ExpositionError) -> String {
        var plain: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            guard bytes[index] == UInt8(ascii: "\\") else {
                if isQuoteEscaped, bytes[index] == UInt8(ascii: "\"") {
                    throw failure("a quote must be escaped here")
                }
                plain.append(bytes[index])
                index += 1
                continue
            }
            let next = index + 1 < bytes.endIndex ? bytes[index + 1] : 0
            switch next {
            case UInt8(ascii: "\\"): plain.append(next)
            case UInt8(ascii: "n"): plain.append(0x0A)
            case UInt8(ascii: "\"") where isQuoteEscaped: plain.append(next)
            default:
                let escape = String(decoding: bytes[index...].prefix(2), as: UTF8.self)
                throw failure("\(escape) is not an escape")
            }
            index += 2
        }
        return String(decoding: plain, as: UTF8.self)
    }

    /// Steps over the brace that opens labels, if it is what comes next.
    mutating func opensLabels() -> Bool {
        var ahead = self
        ahead.skipBlanks()
        guard ahead.skip("{") else { return false }
        self = ahead
        return true
    }

    /// Whether anything but blanks is left; in OpenMetrics those count too.
    var hasMore: Bool {
        var ahead = self
        ahead.skipBlanks()
        return !ahead.isAtEnd
    }

    /// Whether an exemplar is what comes next.
    var isAtExemplar: Bool { rest.first == UInt8(ascii: "#") }

    /// Demands that nothing but blanks is left, and in OpenMetrics not even those.
    mutating func end() throws(ExpositionError) {
        skipBlanks()
        if !isAtEnd { throw failure("nothing may follow here, but \"\(remainder)\" does") }
    }
}
