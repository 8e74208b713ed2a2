// SPDX-License-Identifier: Apache-2.0
// The family that is currently being parsed.

/// A metric family that may still receive lines.
struct OpenFamily {
    let name: String
    /// The number of its first line.
    let firstLine: Int
    private let format: Exposition.Format
    private var type: Exposition.FamilyType?
    private var help: String?
    private var unit: String?
    private var samples: [(sample: Exposition.Sample, line: Int)] = []

    init(_ name: String, _ format: Exposition.Format, _ line: Int) {
        self.name = name
        self.format = format
        firstLine = line
    }

    // MARK: - Names

    /// The type with an article, for messages.
    var typeName: String {
        guard let type else { return "the untyped metric" }
        return "the \(type.word(in: format))"
    }

    /// The names that samples of the family may have.
    var sampleNames: [String] {
        (type ?? .unknown).suffixes(in: format).map { name + $0 }
    }

    /// Whether a sample of this name belongs to the family.
    func mayHave(_ sample: String) -> Bool { sampleNames.contains(sample) }

    /// Whether a name that does not belong to the family looks as if it was meant to.
    ///
    /// Only a family with a `TYPE` or `HELP` line is considered.
    func isNearly(_ sample: String) -> Bool {
        if type == nil && help == nil { return false }
        return sample == name
            || Exposition.FamilyType.everySuffix.contains {
                sample == name + $0 || sample + $0 == name
            }
    }

    // MARK: - Lines

    mutating func set(help text: String, _ line: Int) throws(ExpositionError) {
        try refuse("HELP", isThere: help != nil, line)
        help = text
    }

    mutating func set(type: Exposition.FamilyType, _ line: Int) throws(ExpositionError) {
        try refuse("TYPE", isThere: self.type != nil, line)
        self.type = type
    }

    mutating func set(unit: String, _ line: Int) throws(ExpositionError) {
        try refuse("UNIT", isThere: self.unit != nil, line)
        if !unit.isEmpty && !name.hasSuffix("_" + unit) {
            throw ExpositionError(
                line: line, problem: "the name \(name) does not end in its unit, _\(unit)")
        }
        self.unit = unit
    }

    private func refuse(
        _ keyword: String, isThere: Bool, _ line: Int
    ) throws(ExpositionError) {
        if isThere {
            throw ExpositionError(line: line, problem: "\(name) has a second \(keyword) line")
        }
        if !samples.isEmpty {
            throw ExpositionError(
                line: line, problem: "the \(keyword) line of \(name) comes after its samples")
        }
    }

    /// Adds a sample with one of the family's sample names.
    mutating func add(_ sample: Exposition.Sample, _ line: Int) throws(ExpositionError) {
        let rules = SampleRules(family: name, type: type ?? .unknown, format: format)
        if let problem = rules.problem(of: sample) {
            throw ExpositionError(line: line, problem: "\(sample.series) \(problem)")
        }
        samples.append((sample, line))
    }

    // MARK: - The end

    /// Checks the family as a whole and returns it.
    func closed() throws(ExpositionError) -> Exposition.Family {
        let type = type ?? .unknown
        if let unit, !unit.isEmpty, type == .info || type == .stateSet {
            throw ExpositionError(
                line: firstLine, problem: "\(typeName) \(name) cannot have a unit")
        }
        let points = try MetricPoint.points(of: samples, of: name, type, format)
        for point in points { try point.check(type, format) }
        return Exposition.Family(
            name: name, type: type, help: help.flatMap { $0.isEmpty ? nil : $0 },
            unit: unit.flatMap { $0.isEmpty ? nil : $0 }, samples: samples.map(\.sample))
    }
}
