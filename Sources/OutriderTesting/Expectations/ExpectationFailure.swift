// SPDX-License-Identifier: Apache-2.0
// What a test framework prints when metrics are not what a test says.

/// An expectation about metrics that does not hold.
///
/// Thrown, so that it works in every test framework: an error that a test throws is a failure
/// there, and its description is what is shown.
public struct ExpectationFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was expected and what is there instead; one line or several.
    public let description: String
}
