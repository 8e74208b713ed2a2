// SPDX-License-Identifier: Apache-2.0
// Assembles the lines of an exposition into families, in one pass.
//
// One family is open at a time. A line that does not belong to it closes it; its names are then
// taken, and a later line with one of them means that families are interleaved.

/// The families of an exposition that is being parsed.
struct FamilyAssembly {
    private let format: Exposition.Format
    private var closed: [Exposition.Family] = []
    private var open: OpenFamily?
    /// The family that owns each name: its own name, and those of the samples it may have.
    private var owners: [String: String] = [:]
    /// The last timestamp of each series, if any.
    private var seen: [Series: Double?] = [:]

    init(_ format: Exposition.Format) {
        self.format = format
    }

    /// The families, after all lines have been added.
    mutating func families() throws(ExpositionError) -> [Exposition.Family] {
        try close()
        return closed
    }

    // MARK: - Lines

    /// Adds a `HELP` line.
    mutating func add(
        help: String, of name: String, _ line: Int
    ) throws(ExpositionError) {
        var family = try family(described: name, line)
        try family.set(help: help, line)
        open = family
    }

    /// Adds a `TYPE` line.
    mutating func add(
        type: Exposition.FamilyType, of name: String, _ line: Int
    ) throws(ExpositionError) {
        var family = try family(described: name, line)
        try family.set(type: type, line)
        open = family
    }

    /// Adds a `UNIT` line.
    mutating func add(unit: String, of name: String, _ line: Int) throws(ExpositionError) {
        var family = try family(described: name, line)
        try family.set(unit: unit, line)
        open = family
    }

    /// Adds a sample.
    mutating func add(_ sample: Exposition.Sample, _ line: Int) throws(ExpositionError) {
        try refuseDuplicate(of: sample, line)
        if let family = open, !family.mayHave(sample.name) {
            if family.isNearly(sample.name) {
                let names = family.sampleNames.joined(separator: ", ")
                throw ExpositionError(
                    line: line,
                    problem: """
                        \(family.typeName) \(family.name) cannot have a sample \(sample.name), \
                        only \(names)
                        """)
            }
            try close()
        }
        if open == nil {
            try refuseTaken(sample.name, line)
            open = OpenFamily(sample.name, format, line)
        }
        try open?.add(sample, line)
    }

    // MARK: - Opening and closing

    /// The family that a comment describes: the open one, or a new one.
    private mutating func family(
        described name: String, _ line: Int
    ) throws(ExpositionError) -> OpenFamily {
        if let family = open, family.name == name { return family }
        try close()
        try refuseTaken(name, line)
        return OpenFamily(name, format, line)
    }

    private mutating func close() throws(ExpositionError) {
        guard let family = open else { return }
        open = nil
        closed.append(try family.closed())
        for name in [family.name] + family.sampleNames {
            if let owner = owners[name], owner != family.name {
                throw ExpositionError(
                    line: family.firstLine,
                    problem: "the name \(name) of \(family.name) belongs to the family \(owner)")
            }
            owners[name] = family.name
        }
    }

    private func refuseTaken(_ name: String, _ line: Int) throws(ExpositionError) {
        guard let owner = owners[name] else { return }
        throw ExpositionError(
            line: line,
            problem: """
                \(name) belongs to the family \(owner), whose lines are above: families may not be \
                interleaved
                """)
    }

    /// Rejects a duplicate series; OpenMetrics allows it at a later timestamp.
    private mutating func refuseDuplicate(
        of sample: Exposition.Sample, _ line: Int
    ) throws(ExpositionError) {
        let series = sample.series
        guard let last = seen.updateValue(sample.timestamp, forKey: series) else { return }
        if format == .openMetrics, let last, let now = sample.timestamp, now > last { return }
        throw ExpositionError(line: line, problem: "duplicate series \(series)")
    }
}
