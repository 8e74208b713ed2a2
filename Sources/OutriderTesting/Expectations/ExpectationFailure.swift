// SPDX-License-Identifier: Apache-2.0
// The error of a failed metrics expectation.

/// An expectation about metrics that does not hold.
///
/// Expectations throw, so they work in every test framework: an error thrown by a test is reported
/// as a failure with its description.
public struct ExpectationFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The expected and the actual metrics, in one or more lines.
    public let description: String
}
