// SPDX-License-Identifier: Apache-2.0
// The seam for profiles: who samples knows nothing of formats, names, sessions or HTTP.

/// A kind of profile, which has a page of its own.
public struct ProfileKind: Hashable, Sendable {
    /// The last part of its path, in lower-case letters.
    ///
    /// `heap` for `/debug/pprof/heap`.
    public let name: String
    /// What it shows, in a few words, for the list of profiles.
    public let summary: String
    /// The sample type that a reader looks at first.
    public let defaultSampleType: String

    /// A kind of profile.
    public init(_ name: String, summary: String, defaultSampleType: String) {
        self.name = name
        self.summary = summary
        self.defaultSampleType = defaultSampleType
    }
}

/// Something that knows profiles of this process.
///
/// Give it to the agent: `Agent.start(profiles: [HeapProfiler()])`. A source that is a `Collector`
/// too is added to the agent's registry. Must be thread-safe; snapshots may overlap.
public protocol ProfileSource: Sendable {
    /// What it has; read once, when the agent starts.
    var kinds: [ProfileKind] { get }

    /// Called once when an agent that serves it starts; does nothing unless it is written.
    ///
    /// - Parameter log: Says a line in the agent's log. `isError` where what was asked for does not
    ///   work.
    func start(log: @escaping @Sendable (_ isError: Bool, _ message: String) -> Void)

    /// What is known at this moment, since the process started.
    ///
    /// A reader who asks for a span of time gets the difference of two.
    ///
    /// - Throws: ``ProfileUnavailable`` when there is none to be had.
    func snapshot(of kind: ProfileKind) throws(ProfileUnavailable) -> Profile
}

extension ProfileSource {
    /// Does nothing.
    public func start(log: @escaping @Sendable (_ isError: Bool, _ message: String) -> Void) {}
}

/// Why there is no profile, and what to do.
public struct ProfileUnavailable: Error, Hashable, Sendable, CustomStringConvertible {
    /// The reason, for a person.
    public let description: String

    /// A reason.
    public init(_ reason: String) {
        description = reason
    }
}
