// SPDX-License-Identifier: Apache-2.0
// What one sees at `/`: the name, what there is to know now, and a link to everything that exists.

/// The page at `/`, made from the pages that the endpoint serves.
struct LandingPage: Page {
    let path = "/"
    let summary = "this page"
    /// Notices that are shown at most, and Unicode scalars of each.
    private static let noticeLimit = 50
    private static let noticeLength = 1_000

    private let start: String
    private let end: String
    private let notices: @Sendable () -> [String]

    init(title: String, pages: [any Page], notices: @escaping @Sendable () -> [String]) {
        self.notices = notices
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
        let told = notices().prefix(Self.noticeLimit).map { notice in
            var text = String.UnicodeScalarView()
            text += notice.unicodeScalars.prefix(Self.noticeLength)
            return "<p>\(HTML.escaped(String(text)))</p>\n"
        }
        return Response(
            status: 200, headers: fields, body: Array((start + told.joined() + end).utf8))
    }
}
