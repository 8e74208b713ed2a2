// SPDX-License-Identifier: Apache-2.0
// What one sees at `/`: the name, and a link to everything that exists.

/// The page at `/`, made from the pages that the endpoint serves.
struct LandingPage: Page {
    let path = "/"
    let summary = "this page"
    private let html: [UInt8]

    init(title: String, pages: [any Page]) {
        let title = Self.escaped(title)
        let items = pages.map { page in
            let path = Self.escaped(page.path)
            return "<li><a href=\"\(path)\">\(path)</a> \(Self.escaped(page.summary))</li>"
        }
        html = Array(
            """
            <!doctype html>
            <html lang="en">
            <head><meta charset="utf-8"><title>\(title)</title></head>
            <body>
            <h1>\(title)</h1>
            <ul>
            \(items.joined(separator: "\n"))
            </ul>
            </body>
            </html>

            """.utf8)
    }

    func respond(to request: Request) -> Response {
        let type = ("Content-Type", "text/html; charset=utf-8")
        return Response(status: 200, headers: [type], body: html)
    }

    private static func escaped(_ text: String) -> String {
        // By scalars: a quote with a combining mark is one Character, but ends an attribute.
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;".unicodeScalars
            case "<": result += "&lt;".unicodeScalars
            case ">": result += "&gt;".unicodeScalars
            case "\"": result += "&quot;".unicodeScalars
            default: result.append(scalar)
            }
        }
        return String(result)
    }
}
