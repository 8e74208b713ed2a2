// SPDX-License-Identifier: Apache-2.0
// What a page answers.

package import OutriderThreading

/// What a ``Page`` answers.
public struct Response: Sendable {
    /// The HTTP status.
    public var status: Int
    /// Header fields.
    ///
    /// `Content-Length`, `Date` and `Connection` are added when it is sent, and
    /// `X-Content-Type-Options: nosniff` and a strict `Content-Security-Policy` unless they are
    /// here. One that has a control character is left out and logged.
    public var headers: [(name: String, value: String)]
    /// The whole body.
    public var body: [UInt8] {
        get { bytes.array }
        set { bytes = .array(newValue) }
    }
    /// The same, as it is.
    package var bytes: BodyBytes
    /// Called once the kernel has taken all of it for the client: never for a HEAD, nor for a client that
    /// leaves before.
    ///
    /// On the connection's thread.
    package var onDelivery: (@Sendable () -> Void)?

    /// An answer in full.
    public init(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
        self.status = status
        self.headers = headers
        bytes = .array(body)
    }

    /// An answer with bytes that may have memory of their own.
    package init(status: Int, headers: [(name: String, value: String)], bytes: BodyBytes) {
        self.status = status
        self.headers = headers
        self.bytes = bytes
    }

    /// An answer in plain text.
    public static func text(_ text: String, status: Int = 200) -> Response {
        let type = ("Content-Type", "text/plain; charset=utf-8")
        return Response(status: status, headers: [type], body: Array(text.utf8))
    }

    /// 503, and the advice to come again in a second.
    public static func unavailable(_ reason: String) -> Response {
        var response = Response.text(reason + "\n", status: 503)
        response.headers.append(("Retry-After", "1"))
        return response
    }

    /// 429, and the advice to come again in a second.
    static func tooMany(_ reason: String) -> Response {
        var response = Response.text(reason + "\n", status: 429)
        response.headers.append(("Retry-After", "1"))
        return response
    }

    /// What goes with every answer.
    ///
    /// A browser that shows it runs and loads nothing, guesses no type, and lets no other site frame
    /// it. No CORS field is ever sent.
    private static let protections = [
        (name: "X-Content-Type-Options", value: "nosniff"),
        (
            name: "Content-Security-Policy",
            value: "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ]

    /// The bytes of a whole HTTP answer after which the connection ends.
    var asLastAnswer: [UInt8] {
        let fields =
            allHeaders + [("Content-Length", "\(bytes.count)"), ("Connection", "close")]
        let lines = fields.map { "\($0.name): \($0.value)\r\n" }
        return Array("HTTP/1.1 \(status) Refused\r\n\(lines.joined())\r\n".utf8) + body
    }

    /// Its header fields, and those that go with every answer.
    var allHeaders: [(name: String, value: String)] {
        let own = Set(headers.map { $0.name.lowercased() })
        return headers + Self.protections.filter { !own.contains($0.name.lowercased()) }
    }
}
