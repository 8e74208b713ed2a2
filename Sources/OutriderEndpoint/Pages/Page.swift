// SPDX-License-Identifier: Apache-2.0
// The interface between an endpoint and its pages.

/// A page that an ``Endpoint`` serves at one path.
///
/// ``respond(to:)`` runs on the connection's own thread with a small stack, may block (only this
/// client waits; see ``Request/pause(for:)``), and may run on several threads at once.
public protocol Page: Sendable {
    /// The path, with its leading slash; matched exactly.
    var path: String { get }
    /// Other paths of the same page.
    var aliases: [String] { get }
    /// A description in a few words, for the landing page.
    var summary: String { get }

    /// Requests that it serves at one time, until their last byte is sent.
    ///
    /// Others wait up to 3 s, then get status 503.
    ///
    /// This bounds the memory of responses to slow clients, and keeps threads for the other pages
    /// if this one hangs.
    var concurrencyLimit: Int { get }

    /// The clients that may see it; a page under `/debug` is for operators in any case.
    var audience: PageAudience { get }

    /// Whether health probes request it.
    ///
    /// A client that exceeds its budget is delayed there, and never refused. So the page has to be
    /// cheap.
    var isForProbes: Bool { get }

    /// Responds to a GET or a HEAD; the body of a HEAD is not sent.
    func respond(to request: Request) -> Response
}

extension Page {
    /// The default: none.
    public var aliases: [String] { [] }

    /// The default: eight.
    public var concurrencyLimit: Int { 8 }

    /// The default: false.
    public var isForProbes: Bool { false }

    /// The default: everyone, except for pages under `/debug`.
    public var audience: PageAudience { .everyone }

    /// Whether it is for operators, by its audience or by its path.
    package var isForOperators: Bool {
        audience == .operators || PageAudience.ofPath(path) == .operators
    }
}

/// The clients that may see a page.
public struct PageAudience: Hashable, Sendable {
    private let name: String

    /// Every client that can reach the endpoint.
    public static let everyone = PageAudience(name: "everyone")
    /// Clients that the ``AccessRules`` admit.
    public static let operators = PageAudience(name: "operators")

    /// The audience that a path implies: operators for `/debug` and all paths below it.
    static func ofPath(_ path: String) -> PageAudience {
        path == "/debug" || path.hasPrefix("/debug/") ? .operators : .everyone
    }
}
