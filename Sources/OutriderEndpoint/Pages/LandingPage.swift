// SPDX-License-Identifier: Apache-2.0
// The page at `/`: the title, current notices, links to the pages and to the operator address.

/// The page at `/`, made from the pages that the endpoint serves.
struct LandingPage: Page {
    let path = "/"
    let summary = "this page"
    /// Limits: the number of notices, and the Unicode scalars of each.
    private static let noticeLimit = 50
    private static let noticeLength = 1_000

    private let start: String
    private let end: String
    private let notices: @Sendable (PageAudience) -> [String]
    private let access: AccessRules
    private let address: ListenAddress

    init(
        title: String, pages: [any Page], notices: @escaping @Sendable (PageAudience) -> [String],
        access: AccessRules, address: ListenAddress
    ) {
        self.notices = notices
        self.access = access
        self.address = address
        let title = HTML.escaped(title)
        let items = pages.map { page in
            let path = HTML.escaped(page.path)
            return "<li><a href=\"\(path)\">\(path)</a> \(HTML.escaped(page.summary))</li>"
        }
        start = """
            <!doctype html>
            <html lang="en">
            <head><meta charset="utf-8"><title>\(title)</title></head>
            <body>
            <h1>\(title)</h1>

            """
        end = """
            <ul>
            \(items.joined(separator: "\n"))
            </ul>
            </body>
            </html>

            """
    }

    func respond(to request: Request) -> Response {
        let fields = [
            (name: "Content-Type", value: "text/html; charset=utf-8"),
            (name: "Cache-Control", value: "no-store"),
        ]
        let isForOperator = access.judge(request.headers, at: address) == .accept
        let shown = notices(isForOperator ? .operators : .everyone).prefix(Self.noticeLimit)
        let paragraphs = shown.map { notice in
            var text = String.UnicodeScalarView()
            text += notice.unicodeScalars.prefix(Self.noticeLength)
            return "<p>\(HTML.escaped(String(text)))</p>\n"
        }
        let body = start + paragraphs.joined() + linkForOperators + end
        return Response(status: 200, headers: fields, body: Array(body.utf8))
    }

    /// A link to the landing page of the operator address, if that is a different one.
    ///
    /// It leads to `/` there, which is for everyone: a browser marks a request that follows a link
    /// from here as cross-origin, and the operator pages refuse those.
    private var linkForOperators: String {
        guard let url = access.operatorURL.map(HTML.escaped) else { return "" }
        return
            "<p>Operator pages, on the service's host only: <a href=\"\(url)\">\(url)</a></p>\n"
    }
}
