// SPDX-License-Identifier: Apache-2.0
// Expectations on a registry; each one is a scrape.

public import OutriderMetrics

extension Registry {
    /// Scrapes this registry and parses the response.
    ///
    /// - Parameter names: The families to scrape, by family name or by the name of one of their
    ///   samples; empty for all.
    /// - Throws: ``ExpositionError`` if the response cannot be parsed, which would be a bug in
    ///   Outrider.
    public func exposition(names: [String] = []) throws(ExpositionError) -> Exposition {
        let response = respond(names: names)
        let type = response.headers.first { $0.name.lowercased() == "content-type" }?.value
        return try Exposition(parsing: response.body, contentType: type ?? "")
    }

    /// The value of a sample in a new scrape; nil if there is none.
    ///
    /// See ``Exposition/sample(_:_:)``. To read several values, call ``exposition(names:)`` once.
    public func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        try? exposition(names: [name]).value(name, labels)
    }

    /// Expects a scrape to show a sample without labels with this value.
    ///
    /// - Throws: ``ExpectationFailure`` with what was found instead.
    public func expect(_ name: String, _ value: Double) throws(ExpectationFailure) {
        try expect(name, [:], value)
    }

    /// Expects a scrape to show the sample with this name and exactly these labels with this value.
    ///
    /// - Throws: ``ExpectationFailure`` with what was found instead.
    public func expect(
        _ name: String, _ labels: [String: String], _ value: Double
    ) throws(ExpectationFailure) {
        try readable().expect(name, labels, value)
    }

    /// Expects a scrape to show exactly these families: help, types, series and values.
    ///
    /// The order of families and series and the spelling of numbers do not matter. The final line
    /// feed may be omitted. Use a registry without metrics about itself, or pass `names`: the costs
    /// of scrapes differ each time.
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
    ///   - names: The families to scrape, by family name or by the name of one of their samples;
    ///     empty for all.
    /// - Throws: ``ExpectationFailure`` with the families that differ, line by line.
    public func expect(
        exactly text: String, names: [String] = []
    ) throws(ExpectationFailure) {
        let expected: Exposition
        do {
            let isWhole = text.isEmpty || text.hasSuffix("\n")
            expected = try Exposition(parsing: isWhole ? text : text + "\n", as: .text)
        } catch {
            throw ExpectationFailure(
                description: "the expected text is not a valid exposition: \(error)")
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
            throw ExpectationFailure(description: "the registry's exposition is invalid: \(error)")
        }
    }
}
