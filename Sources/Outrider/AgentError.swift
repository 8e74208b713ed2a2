// SPDX-License-Identifier: Apache-2.0
// The error of an agent that could not be started.

internal import OutriderEndpoint

/// An error that prevented the agent from starting as configured.
public struct AgentError: Error, Sendable, CustomStringConvertible {
    /// A machine-readable reason: the code of an `EndpointError`, or `invalid_environment`.
    public let reason: String
    /// The error and its remedy, in sentences.
    public let description: String

    init(reason: String, description: String) {
        self.reason = reason
        self.description = description
    }

    /// - Parameter settings: The settings that set the address.
    init(_ error: EndpointError, setBy settings: String) {
        self.init(reason: error.code.description, description: error.description(setBy: settings))
    }
}
