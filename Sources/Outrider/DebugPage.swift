// SPDX-License-Identifier: Apache-2.0
// `/debug`: the list of operator pages.

internal import OutriderEndpoint

/// The page that lists the operator pages.
struct DebugPage: Page {
    let path = "/debug"
    let aliases = ["/debug/"]
    let summary = "index of the operator pages"
    private let text: String

    /// Lists the operator pages among `pages`.
    init(_ pages: [any Page]) {
        let lines = pages.filter(\.isForOperators).map { "\($0.path)  \($0.summary)\n" }
        text = """
            Outrider \(Version.outrider), Swift \(Version.swift)

            \(lines.isEmpty ? "No pages are registered under /debug.\n" : lines.joined())
            """
    }

    func respond(to request: Request) -> Response {
        .uncached(text, status: 200)
    }
}
