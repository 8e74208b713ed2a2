// SPDX-License-Identifier: Apache-2.0
// Why an agent did not start as it was told.

internal import OutriderEndpoint

/// An agent that could not be started as it was told.
public struct AgentError: Error, Sendable, CustomStringConvertible {
    /// Why, for a program: the code of an `EndpointError`, or `invalid_environment`.
    public let reason: String
    /// What happened and what to do, in sentences.
    public let description: String

    init(reason: String, description: String) {
        self.reason = reason
        self.description = description
    }

    /// - Parameter settings: What sets the address.
    init(_ error: EndpointError, setBy settings: String) {
        self.init(reason: error.code.description, description: error.description(setBy: settings))
    }
}
