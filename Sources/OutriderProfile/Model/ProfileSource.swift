// SPDX-License-Identifier: Apache-2.0
// The interface of samplers, which are independent of formats, symbols, sessions and HTTP.

/// A kind of profile, served on its own page.
public struct ProfileKind: Hashable, Sendable {
    /// The last component of its path, in lower-case letters.
    ///
    /// `heap` for `/debug/pprof/heap`.
    public let name: String
    /// A short description for the list of profiles.
    public let summary: String
    /// The sample type that readers show by default.
    public let defaultSampleType: String

    /// Creates a kind of profile.
    public init(_ name: String, summary: String, defaultSampleType: String) {
        self.name = name
        self.summary = summary
        self.defaultSampleType = defaultSampleType
    }
}

/// A source of profiles of this process.
///
/// Pass it to the agent: `Agent.start(profiles: [HeapProfiler()])`. If it is also a `Collector`,
/// the agent adds it to its registry. Must be thread-safe; snapshots may overlap.
public protocol ProfileSource: Sendable {
    /// The kinds that it provides; read once, when the agent starts.
    var kinds: [ProfileKind] { get }

    /// Called once when an agent that serves it starts; the default implementation does nothing.
    ///
    /// - Parameter log: Writes a line to the agent's log. `isError` is true if a requested feature
    ///   does not work.
    func start(log: @escaping @Sendable (_ isError: Bool, _ message: String) -> Void)

    /// Takes a profile of everything since the process started.
    ///
    /// A request for a span of time gets the difference of two snapshots.
    ///
    /// - Throws: ``ProfileUnavailable`` if there is no profile.
    func snapshot(of kind: ProfileKind) throws(ProfileUnavailable) -> Profile
}

extension ProfileSource {
    /// Does nothing.
    public func start(log: @escaping @Sendable (_ isError: Bool, _ message: String) -> Void) {}
}

/// The reason why a profile is unavailable, and what to do.
public struct ProfileUnavailable: Error, Hashable, Sendable, CustomStringConvertible {
    /// The reason, as a sentence.
    public let description: String

    /// Creates an error with a reason.
    public init(_ reason: String) {
        description = reason
    }
}
