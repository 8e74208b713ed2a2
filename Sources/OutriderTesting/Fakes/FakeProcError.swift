// SPDX-License-Identifier: Apache-2.0
// Errors of a fake /proc directory.

/// An error while writing or removing a file of a ``FakeProc``.
public struct FakeProcError: Error, Hashable, Sendable {
    /// The path as given.
    public let path: String
    /// The problem, as a sentence.
    public let problem: String
    /// The `errno` of the failed system call; nil if none was made.
    public let errno: Int32?
}

extension FakeProcError: CustomStringConvertible {
    /// The path and the problem, as a sentence.
    public var description: String {
        "\"\(path)\": \(problem)" + (errno.map { " (errno \($0))" } ?? "")
    }
}
