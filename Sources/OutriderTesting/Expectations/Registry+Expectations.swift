// SPDX-License-Identifier: Apache-2.0
// Questions that a test asks a registry; each one is a scrape.

public import OutriderMetrics

extension Registry {
    /// Scrapes this registry and reads what it exposes.
    ///
    /// - Parameter names: The families to be scraped, by the name of the family or of one of its
    ///   samples; all if there are none.
    /// - Throws: ``ExpositionError`` if that cannot be read, which would be a defect of Outrider.
    public func exposition(names: [String] = []) throws(ExpositionError) -> Exposition {
        let response = respond(names: names)
        let type = response.headers.first { $0.name.lowercased() == "content-type" }?.value
        return try Exposition(parsing: response.body, contentType: type ?? "")
    }

    /// The value of a sample as a scrape shows it now; nil if there is none.
    ///
    /// See ``Exposition/sample(_:_:)``. To ask for many values, read ``exposition(names:)`` once.
    public func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        try? exposition(names: [name]).value(name, labels)
    }

    /// Expects that a scrape shows a sample without labels, with this value.
    ///
    /// - Throws: ``ExpectationFailure`` that tells what is there instead.
    public func expect(_ name: String, _ value: Double) throws(ExpectationFailure) {
        try expect(name, [:], value)
    }

    /// Expects that a scrape shows the sample with this name and exactly these labels, with this
    /// value.
    ///
    /// - Throws: ``ExpectationFailure`` that tells what is there instead.
    public func expect(
        _ name: String, _ labels: [String: String], _ value: Double
    ) throws(ExpectationFailure) {
        try readable().expect(name, labels, value)
    }

    /// Expects that a scrape shows exactly these families: help, types, series and values.
    ///
    /// The order of families and of series does not matter, nor how a number is spelled. A line
    /// feed at the end may be left out. Use a registry that does not report itself, or `names`: what
    /// scrapes cost is never the same twice.
    ///
    /// ```swift
    /// try registry.expect(exactly: """
    ///     # HELP orders_total Orders accepted.
    ///     # TYPE orders_total counter
    ///     orders_total{kind="book"} 3
    ///     """)
    /// ```
    ///
    /// - Parameters:
    ///   - text: An exposition in the text format 0.0.4.
    ///   - names: The families to be scraped, by the name of the family or of one of its samples;
    ///     all if there are none.
    /// - Throws: ``ExpectationFailure`` with the families that differ, line by line.
    public func expect(
        exactly text: String, names: [String] = []
    ) throws(ExpectationFailure) {
        let expected: Exposition
        do {
            let isWhole = text.isEmpty || text.hasSuffix("\n")
            expected = try Exposition(parsing: isWhole ? text : text + "\n", as: .text)
        } catch {
            throw ExpectationFailure(description: "what is expected is no exposition: \(error)")
        }
        let lines = ExpositionDiff(expected: expected, found: try readable(names: names)).lines
        if lines.isEmpty { return }
        throw ExpectationFailure(
            description: "the exposition differs (- expected, + found):\n"
                + lines.joined(separator: "\n"))
    }

    func readable(names: [String] = []) throws(ExpectationFailure) -> Exposition {
        do {
            return try exposition(names: names)
        } catch {
            throw ExpectationFailure(description: "the registry's exposition is bad: \(error)")
        }
    }
}
