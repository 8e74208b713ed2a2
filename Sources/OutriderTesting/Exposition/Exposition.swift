// SPDX-License-Identifier: Apache-2.0
// What a scrape answered, taken apart again, so that a test can ask for numbers instead of lines.
//
// It reads strictly: what a lenient scraper would pass over is what a test of metrics is to find.

/// The metric families of one scrape, read from the text that a server answered.
///
/// ```swift
/// let exposition = try Exposition(parsing: registry.text(), as: .text)
/// try exposition.expect("orders_total", ["kind": "book"], 3)
/// ```
///
/// Anything that the format forbids is an error, and so is what it allows but no service means: a
/// negative counter, a sample that does not belong to the family it stands in. Names in quotes
/// (UTF-8 names of Prometheus 3) are not read.
///
/// Sources: "Exposition formats" of the Prometheus documentation, text-based format 0.0.4, and the
/// OpenMetrics 1.0 specification.
public struct Exposition: Sendable {
    /// The format that it was written in.
    public let format: Format

    /// The families, in the order in which they are exposed.
    public let families: [Family]

    /// Reads an exposition.
    ///
    /// - Throws: ``ExpositionError`` with the line and what is wrong with it.
    /// - Complexity: Linear in the length of the text.
    public init(parsing text: String, as format: Format) throws(ExpositionError) {
        try self.init(utf8: Array(text.utf8), format)
    }

    /// Reads the body of a response in the format that its `Content-Type` names.
    ///
    /// `text/plain` is the text format, `application/openmetrics-text` is OpenMetrics. A version
    /// or a character set that does not fit is an error; other parameters are passed over.
    ///
    /// - Throws: ``ExpositionError`` if the type is another one, if the body is not UTF-8, and as
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
