// SPDX-License-Identifier: Apache-2.0
// Errors of the exposition parser.

/// A problem in an exposition, with its line.
public struct ExpositionError: Error, Hashable, Sendable {
    /// The number of the line, from 1; nil if the problem is not in a single line.
    public let line: Int?
    /// The problem, as a sentence.
    public let problem: String
}

extension ExpositionError: CustomStringConvertible {
    /// The problem and its line, as a sentence.
    public var description: String {
        line.map { "line \($0): \(problem)" } ?? problem
    }
}
