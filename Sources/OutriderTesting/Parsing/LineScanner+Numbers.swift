// SPDX-License-Identifier: Apache-2.0
// Number syntax of the formats: decimal, infinite, or NaN. Hexadecimal numbers, which Swift would
// accept, are errors.

extension LineScanner {
    /// Parses the next word as a number.
    mutating func number(of what: String) throws(ExpositionError) -> Double {
        let word = word()
        guard let number = Self.number(word) else {
            throw failure(
                word.isEmpty ? "\(what) is missing" : "\(what) \"\(word)\" is not a number")
        }
        return number
    }

    /// Parses a timestamp, in seconds: a number in OpenMetrics, whole milliseconds in the text
    /// format.
    mutating func timestamp() throws(ExpositionError) -> Double {
        let word = word()
        switch format {
        case .text:
            guard let milliseconds = Int64(word) else {
                throw failure("the timestamp \"\(word)\" is not a whole number of milliseconds")
            }
            return Double(milliseconds) / 1000
        case .openMetrics:
            guard let seconds = Self.number(word), seconds.isFinite else {
                throw failure("the timestamp \"\(word)\" is not a number of seconds")
            }
            return seconds
        }
    }

    /// Parses a number in the syntax of the formats; nil if it is invalid.
    static func number(_ word: String) -> Double? {
        let isSigned = word.utf8.first == UInt8(ascii: "+") || word.utf8.first == UInt8(ascii: "-")
        let magnitude = word.dropFirst(isSigned ? 1 : 0)
        switch magnitude.lowercased() {
        case "inf", "infinity": return word.utf8.first == UInt8(ascii: "-") ? -.infinity : .infinity
        case "nan": return isSigned ? nil : .nan
        default: break
        }
        let isDecimal = magnitude.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"): true
            case UInt8(ascii: "+"), UInt8(ascii: "-"): true
            default: false
            }
        }
        return isDecimal ? Double(word) : nil
    }
}
