// SPDX-License-Identifier: Apache-2.0
// `/debug/pprof/`: the list of profiles.

internal import OutriderEndpoint
internal import OutriderProfile

/// The page that lists the profiles, in each of their formats.
struct ProfileIndexPage: Page {
    let path = ProfilePage.root
    let aliases = ["/debug/pprof"]
    let summary = "profiles for go tool pprof, and flame graphs"
    private let html: [UInt8]

    init(_ kinds: [ProfileKind]) {
        let rows = kinds.map { kind in
            let name = HTML.escaped(kind.name)
            let forms = ProfileFormat.allCases.map { format in
                let link = "\(ProfilePage.root)\(name)?format=\(format.rawValue)"
                return "<a href=\"\(link)\">\(format.rawValue)</a>"
            }
            return
                "<li><b>\(name)</b>: \(HTML.escaped(kind.summary))<br>\(forms.joined(separator: " · "))"
                + " · <a href=\"\(ProfilePage.root)\(name)?seconds=10&amp;format=flamegraph\">"
                + "flame graph of the next 10 s</a></li>"
        }
        let list =
            rows.isEmpty
            ? "<p>No profiles are configured. Pass them to Agent.start(profiles: [HeapProfiler()]).</p>"
            : "<ul>\n\(rows.joined(separator: "\n"))\n</ul>"
        html = Array(
            """
            <!doctype html>
            <html lang="en">
            <head><meta charset="utf-8"><title>Profiles</title></head>
            <body>
            <h1>Profiles</h1>
            \(list)
            <p>go tool pprof -http=: http://ADDRESS\(ProfilePage.root)NAME</p>
            <p>seconds=N profiles the changes of N seconds, up to \(ProfileQuery.longestDelta); debug=1 returns text.</p>
            </body>
            </html>

            """.utf8)
    }

    func respond(to request: Request) -> Response {
        let fields = [
            (name: "Content-Type", value: "text/html; charset=utf-8"),
            (name: "Cache-Control", value: "no-store"),
        ]
        return Response(status: 200, headers: fields, body: html)
    }
}
