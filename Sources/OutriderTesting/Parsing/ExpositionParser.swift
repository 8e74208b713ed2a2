// SPDX-License-Identifier: Apache-2.0
// Parses exposition text: splits it into lines and passes each line to its family.

/// The parser of whole expositions.
enum ExpositionParser {
    /// Parses the families of an exposition whose bytes are valid UTF-8.
    static func families(
        in bytes: [UInt8], as format: Exposition.Format
    ) throws(ExpositionError) -> [Exposition.Family] {
        var assembly = FamilyAssembly(format)
        var start = 0
        var number = 0
        var isEnded = false
        while start < bytes.count {
            number += 1
            var end = start
            while end < bytes.count, bytes[end] != UInt8(ascii: "\n") { end += 1 }
            let isWhole = end < bytes.count
            let line = start..<end
            start = end + 1
            if isEnded {
                throw ExpositionError(line: number, problem: "nothing may follow # EOF")
            }
            let scanner = LineScanner(bytes, line: line, number: number, format: format)
            switch try ExpositionLine(scanner) {
            case .nothing: break
            case .help(let name, let text): try assembly.add(help: text, of: name, number)
            case .type(let name, let type): try assembly.add(type: type, of: name, number)
            case .unit(let name, let unit): try assembly.add(unit: unit, of: name, number)
            case .sample(let sample): try assembly.add(sample, number)
            case .end: isEnded = true
            }
            // In OpenMetrics the line feed after # EOF is optional.
            if !isWhole && !isEnded {
                throw ExpositionError(
                    line: number, problem: "the last line does not end in a line feed")
            }
        }
        if format == .openMetrics && !isEnded {
            throw ExpositionError(line: number + 1, problem: "# EOF is missing at the end")
        }
        return try assembly.families()
    }
}
