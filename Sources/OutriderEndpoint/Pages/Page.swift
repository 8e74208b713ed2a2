// SPDX-License-Identifier: Apache-2.0
// The seam between the listener and what it shows.

/// Something that an ``Endpoint`` serves under one path.
///
/// ``respond(to:)`` runs on a thread of the connection's own with a small stack, may block
/// (only this client waits; see ``Request/pause(for:)``), and may run on several threads at once.
public protocol Page: Sendable {
    /// The path, with its leading slash; matched exactly.
    var path: String { get }
    /// Other paths with the same page.
    var aliases: [String] { get }
    /// What one finds there, in a few words, for the landing page.
    var summary: String { get }

    /// Requests that it answers at one time, to their last byte; more are told 503.
    ///
    /// This bounds the memory of answers that wait for slow clients, and keeps threads for the
    /// other pages should this one hang.
    var concurrencyLimit: Int { get }

    /// Whom it is for; a page below `/debug` is for operators whatever this says.
    var audience: PageAudience { get }

    /// Whether probes ask for it, to see whether the service lives.
    ///
    /// A client that asks all the time is answered later then, and never refused. So it has to be cheap.
    var isForProbes: Bool { get }

    /// Answers a GET or a HEAD; for a HEAD the body is left out when it is sent.
    func respond(to request: Request) -> Response
}

extension Page {
    /// None.
    public var aliases: [String] { [] }

    /// Eight.
    public var concurrencyLimit: Int { 8 }

    /// No.
    public var isForProbes: Bool { false }

    /// Everyone, unless it is below `/debug`.
    public var audience: PageAudience { .everyone }

    /// Whether it is for operators, by its word or by its path.
    package var isForOperators: Bool {
        audience == .operators || PageAudience.ofPath(path) == .operators
    }
}

/// Whom a page is for.
public struct PageAudience: Hashable, Sendable {
    private let name: String

    /// Everybody who can reach the endpoint.
    public static let everyone = PageAudience(name: "everyone")
    /// Those whom the ``AccessRules`` let in.
    public static let operators = PageAudience(name: "operators")

    /// Whom a path is for, whatever page is there: `/debug` and all below is for operators.
    static func ofPath(_ path: String) -> PageAudience {
        path == "/debug" || path.hasPrefix("/debug/") ? .operators : .everyone
    }
}
