// SPDX-License-Identifier: Apache-2.0
// Why a text is not an exposition.

/// What is wrong with an exposition, and where.
public struct ExpositionError: Error, Hashable, Sendable {
    /// The number of the line, from 1; nil if no single line is to blame.
    public let line: Int?
    /// What is wrong, in a sentence.
    public let problem: String
}

extension ExpositionError: CustomStringConvertible {
    /// What is wrong and where, in a sentence.
    public var description: String {
        line.map { "line \($0): \(problem)" } ?? problem
    }
}
