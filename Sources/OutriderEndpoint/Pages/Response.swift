// SPDX-License-Identifier: Apache-2.0
// The response that a page returns.

package import OutriderThreading

/// The response of a ``Page``.
public struct Response: Sendable {
    /// The HTTP status.
    public var status: Int
    /// Header fields.
    ///
    /// The endpoint adds `Content-Length`, `Date` and `Connection` when it sends the response, and
    /// `X-Content-Type-Options: nosniff` and a strict `Content-Security-Policy` unless they are set
    /// here. A field with a control character is dropped and logged.
    public var headers: [(name: String, value: String)]
    /// The whole body.
    public var body: [UInt8] {
        get { bytes.array }
        set { bytes = .array(newValue) }
    }
    /// The body in its original storage.
    package var bytes: BodyBytes
    /// Called once the kernel has taken the whole response for the client; not called for a HEAD,
    /// nor if the client leaves earlier.
    ///
    /// Runs on the connection's thread.
    package var onDelivery: (@Sendable () -> Void)?

    /// A response with all of its parts.
    public init(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
        self.status = status
        self.headers = headers
        bytes = .array(body)
    }

    /// A response with a body that may have its own storage.
    package init(status: Int, headers: [(name: String, value: String)], bytes: BodyBytes) {
        self.status = status
        self.headers = headers
        self.bytes = bytes
    }

    /// A response in plain text.
    public static func text(_ text: String, status: Int = 200) -> Response {
        let type = ("Content-Type", "text/plain; charset=utf-8")
        return Response(status: status, headers: [type], body: Array(text.utf8))
    }

    /// Status 503 with `Retry-After: 1`.
    public static func unavailable(_ reason: String) -> Response {
        var response = Response.text(reason + "\n", status: 503)
        response.headers.append(("Retry-After", "1"))
        return response
    }

    /// Status 429 with `Retry-After: 1`.
    static func tooMany(_ reason: String) -> Response {
        var response = Response.text(reason + "\n", status: 429)
        response.headers.append(("Retry-After", "1"))
        return response
    }

    /// Header fields of every response.
    ///
    /// They stop a browser from running or loading anything, guessing the type, or letting another
    /// site frame the page. No CORS field is ever sent.
    private static let protections = [
        (name: "X-Content-Type-Options", value: "nosniff"),
        (
            name: "Content-Security-Policy",
            value: "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ]

    /// The bytes of a whole HTTP response, after which the connection closes.
    var asFinalResponse: [UInt8] {
        let fields =
            allHeaders + [("Content-Length", "\(bytes.count)"), ("Connection", "close")]
        let lines = fields.map { "\($0.name): \($0.value)\r\n" }
        return Array("HTTP/1.1 \(status) Refused\r\n\(lines.joined())\r\n".utf8) + body
    }

    /// Its header fields, and those that every response has.
    var allHeaders: [(name: String, value: String)] {
        let own = Set(headers.map { $0.name.lowercased() })
        return headers + Self.protections.filter { !own.contains($0.name.lowercased()) }
    }
}
