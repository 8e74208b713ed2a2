// SPDX-License-Identifier: Apache-2.0
// Parsing of sample lines: name, labels, value, timestamp, exemplar.

extension ExpositionLine {
    /// Parses a line that is not a comment.
    static func sample(_ scanner: inout LineScanner) throws(ExpositionError) -> Exposition.Sample {
        let name = try metricName(&scanner)
        let labels = scanner.opensLabels() ? try labels(&scanner) : [:]
        try scanner.separator(before: "the value")
        let value = try scanner.number(of: "the value")
        var timestamp: Double?
        var exemplar: Exposition.Exemplar?
        if scanner.hasMore {
            try scanner.separator(before: "the text after the value")
            if !scanner.isAtExemplar {
                timestamp = try scanner.timestamp()
            }
            if timestamp == nil || scanner.hasMore {
                if timestamp != nil {
                    try scanner.separator(before: "the text after the timestamp")
                }
                exemplar = try Self.exemplar(&scanner)
            }
        }
        try scanner.end()
        return Exposition.Sample(
            name: name, labels: labels, value: value, timestamp: timestamp, exemplar: exemplar)
    }

    /// Parses labels after the opening brace.
    private static func labels(
        _ scanner: inout LineScanner
    ) throws(ExpositionError) -> [String: String] {
        var labels: [String: String] = [:]
        scanner.skipBlanks()
        if scanner.skip("}") { return labels }
        while true {
            guard let name = scanner.name(allowingColon: false) else {
                throw scanner.failure("a label name is missing or invalid")
            }
            if name == "__name__" {
                throw scanner.failure("the label name __name__ is reserved by Prometheus")
            }
            scanner.skipBlanks()
            guard scanner.skip("=") else {
                throw scanner.failure("the label name \(name) must be followed by =")
            }
            scanner.skipBlanks()
            let value = try scanner.quoted()
            if labels.updateValue(value, forKey: name) != nil {
                throw scanner.failure("duplicate label \(name)")
            }
            scanner.skipBlanks()
            let isFollowed = scanner.skip(",")
            scanner.skipBlanks()
            // The text format allows a comma after the last label, OpenMetrics does not.
            if !isFollowed || scanner.format == .text, scanner.skip("}") { return labels }
            if !isFollowed { throw scanner.failure("the braces of the labels are not closed") }
        }
    }

    private static func exemplar(
        _ scanner: inout LineScanner
    ) throws(ExpositionError) -> Exposition.Exemplar {
        guard scanner.isAtExemplar else {
            throw scanner.failure("unexpected \"\(scanner.remainder)\" after the value")
        }
        guard scanner.format == .openMetrics, scanner.skip("#") else {
            throw scanner.failure("the text format has no exemplars")
        }
        try scanner.separator(before: "the labels of the exemplar")
        guard scanner.opensLabels() else {
            throw scanner.failure("an exemplar must have labels in braces, if only {}")
        }
        let labels = try labels(&scanner)
        try scanner.separator(before: "the value of the exemplar")
        let value = try scanner.number(of: "the value of the exemplar")
        if scanner.isAtEnd {
            return Exposition.Exemplar(labels: labels, value: value, timestamp: nil)
        }
        try scanner.separator(before: "the timestamp of the exemplar")
        return Exposition.Exemplar(
            labels: labels, value: value, timestamp: try scanner.timestamp())
    }
}
