// SPDX-License-Identifier: Apache-2.0
// The seam between the listener and what it shows: pages, requests, responses.

/// Something that an ``Endpoint`` serves under one path.
///
/// ``respond(to:)`` runs on a thread of the connection's own with a small stack, may block
/// (only this client waits), and may run on several threads at once.
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

    /// Answers a GET or a HEAD; for a HEAD the body is left out when it is sent.
    func respond(to request: Request) -> Response
}

extension Page {
    /// None.
    public var aliases: [String] { [] }

    /// Eight.
    public var concurrencyLimit: Int { 8 }
}

/// A GET or HEAD that has passed the guard.
public struct Request: Sendable {
    /// `GET` or `HEAD`.
    public let method: String
    /// The decoded path, the one that chose the page.
    public let path: String
    /// Decoded arguments of the query, in order; a name may come more than once.
    public let query: [(name: String, value: String)]
    private let headers: [(name: String, value: String)]

    init(
        method: String, path: String, query: [(name: String, value: String)],
        headers: [(name: String, value: String)]
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
    }

    /// The value of a header field; several of one name are joined by commas (RFC 9110 §5.3).
    ///
    /// - Parameter name: The field's name in any case.
    public func header(_ name: String) -> String? {
        let name = name.lowercased()
        let values = headers.lazy.filter { $0.name.lowercased() == name }.map(\.value)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }

    /// Every value of an argument of the query.
    public func arguments(_ name: String) -> [String] {
        query.filter { $0.name == name }.map(\.value)
    }
}

/// What a ``Page`` answers.
public struct Response: Sendable {
    /// The HTTP status.
    public var status: Int
    /// Header fields.
    ///
    /// `Content-Length`, `Date` and `Connection` are added when it is sent.
    public var headers: [(name: String, value: String)]
    /// The whole body.
    public var body: [UInt8]

    /// An answer in full.
    public init(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// An answer in plain text.
    public static func text(_ text: String, status: Int = 200) -> Response {
        let type = ("Content-Type", "text/plain; charset=utf-8")
        return Response(status: status, headers: [type], body: Array(text.utf8))
    }
}
