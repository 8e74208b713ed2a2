// SPDX-License-Identifier: Apache-2.0
// Parsing of single exposition lines.

/// A line of an exposition, independent of its context.
enum ExpositionLine {
    case nothing
    case help(name: String, text: String)
    case type(name: String, type: Exposition.FamilyType)
    case unit(name: String, unit: String)
    case sample(Exposition.Sample)
    case end

    /// Parses a line without its line feed.
    init(_ scanner: consuming LineScanner) throws(ExpositionError) {
        var scanner = scanner
        if scanner.isAtEnd {
            if scanner.format == .openMetrics { throw scanner.failure("the line is empty") }
            self = .nothing
        } else if scanner.skip("#") {
            self =
                switch scanner.format {
                case .text: try Self.textComment(&scanner)
                case .openMetrics: try Self.openMetricsComment(&scanner)
                }
        } else {
            self = .sample(try Self.sample(&scanner))
        }
    }

    // MARK: - Comments

    private static func textComment(
        _ scanner: inout LineScanner
    ) throws(ExpositionError) -> ExpositionLine {
        scanner.skipBlanks()
        switch scanner.word() {
        case "HELP":
            try scanner.separator(before: "the name")
            let name = try metricName(&scanner)
            // If the help text is empty, the blank before it may be missing.
            if scanner.isAtEnd { return .help(name: name, text: "") }
            try scanner.separator(before: "the help text")
            return .help(name: name, text: try scanner.help())
        case "TYPE":
            return try type(&scanner)
        default:
            return .nothing
        }
    }

    private static func openMetricsComment(
        _ scanner: inout LineScanner
    ) throws(ExpositionError) -> ExpositionLine {
        try scanner.separator(before: "the keyword after #")
        let keyword = scanner.word()
        switch keyword {
        case "HELP":
            try scanner.separator(before: "the name")
            let name = try metricName(&scanner)
            guard scanner.skip(" ") else {
                throw scanner.failure("a blank is missing before the help text")
            }
            return .help(name: name, text: try scanner.help())
        case "TYPE":
            return try type(&scanner)
        case "UNIT":
            try scanner.separator(before: "the name")
            let name = try metricName(&scanner)
            try scanner.separator(before: "the unit")
            let unit = scanner.word()
            try scanner.end()
            return .unit(name: name, unit: unit)
        case "EOF":
            try scanner.end()
            return .end
        default:
            throw scanner.failure("OpenMetrics has no comments, so \"# \(keyword)\" is not allowed")
        }
    }

    private static func type(
        _ scanner: inout LineScanner
    ) throws(ExpositionError) -> ExpositionLine {
        try scanner.separator(before: "the name")
        let name = try metricName(&scanner)
        try scanner.separator(before: "the type")
        let word = scanner.word()
        try scanner.end()
        guard let type = Exposition.FamilyType(named: word, in: scanner.format) else {
            throw scanner.failure("\"\(word)\" is not a metric type of this format")
        }
        return .type(name: name, type: type)
    }

    static func metricName(
        _ scanner: inout LineScanner
    ) throws(ExpositionError) -> String {
        guard let name = scanner.name(allowingColon: true) else {
            throw scanner.failure("\"\(scanner.word())\" is not a metric name")
        }
        return name
    }
}
