// SPDX-License-Identifier: Apache-2.0
// The parsed text of a scrape, so that tests check values instead of lines.
//
// Parsing is strict, because a test should find what a lenient scraper ignores.

/// The metric families of one scrape, parsed from the text of the response.
///
/// ```swift
/// let exposition = try Exposition(parsing: registry.text(), as: .text)
/// try exposition.expect("orders_total", ["kind": "book"], 3)
/// ```
///
/// Everything that the format forbids is an error, and so is what it permits but is certainly a
/// mistake: a negative counter, or a sample in a family that it does not belong to. Quoted names
/// (the UTF-8 names of Prometheus 3) are not supported.
///
/// Sources: "Exposition formats" of the Prometheus documentation, text-based format 0.0.4, and the
/// OpenMetrics 1.0 specification.
public struct Exposition: Sendable {
    /// The format of the text.
    public let format: Format

    /// The families, in the order of the exposition.
    public let families: [Family]

    /// Parses an exposition.
    ///
    /// - Throws: ``ExpositionError`` with the line and its problem.
    /// - Complexity: Linear in the length of the text.
    public init(parsing text: String, as format: Format) throws(ExpositionError) {
        try self.init(utf8: Array(text.utf8), format)
    }

    /// Parses the body of a response in the format given by its `Content-Type`.
    ///
    /// `text/plain` is the text format, `application/openmetrics-text` is OpenMetrics. An
    /// unsupported version or character set is an error; other parameters are ignored.
    ///
    /// - Throws: ``ExpositionError`` for other content types, for a body that is not UTF-8, and as
    ///   ``init(parsing:as:)`` does.
    public init(parsing body: [UInt8], contentType: String) throws(ExpositionError) {
        let format = try Format(contentType: contentType)
        guard String(validating: body, as: UTF8.self) != nil else {
            let lines = body.split(separator: 0x0A, omittingEmptySubsequences: false)
            let bad = lines.firstIndex { String(validating: $0, as: UTF8.self) == nil }
            throw ExpositionError(line: (bad ?? 0) + 1, problem: "the line is not valid UTF-8")
        }
        try self.init(utf8: body, format)
    }

    private init(utf8 bytes: [UInt8], _ format: Format) throws(ExpositionError) {
        self.format = format
        families = try ExpositionParser.families(in: bytes, as: format)
    }
}
