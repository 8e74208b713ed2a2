// SPDX-License-Identifier: Apache-2.0
// Why a tree of fake files cannot be what a test wants.

/// A file of a ``FakeProc`` that cannot be written or removed.
public struct FakeProcError: Error, Hashable, Sendable {
    /// The path as it was given.
    public let path: String
    /// What is wrong, in a sentence.
    public let problem: String
    /// The number that the system gave; nil if it was not asked.
    public let errno: Int32?
}

extension FakeProcError: CustomStringConvertible {
    /// What is wrong with which path, in a sentence.
    public var description: String {
        "\"\(path)\": \(problem)" + (errno.map { " (errno \($0))" } ?? "")
    }
}
