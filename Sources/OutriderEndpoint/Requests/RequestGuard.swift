// SPDX-License-Identifier: Apache-2.0
// What a request must be before any page sees it.
//
// libmicrohttpd calls its handler once with the headers alone. An answer queued there makes it
// close the connection, so whatever could be read as two requests by somebody in between, or names
// a path in two ways, is answered once and gone. Only clean GETs and HEADs come to a second call.

/// The rules for requests, pure functions of what came.
enum RequestGuard {
    /// What to do with a request.
    enum Verdict: Equatable {
        case accept
        case refuse(status: Int, because: String)
    }

    /// Fields that have one value; a second one is somebody's attempt to be read in two ways.
    private static let single: Set<String> = ["host", "content-length", "authorization", "origin"]

    /// Judges a request by its first line and headers.
    static func judge(method: String, version: String, headers: [IncomingField]) -> Verdict {
        guard method == "GET" || method == "HEAD" else {
            return .refuse(status: 405, because: "This server answers GET and HEAD only.")
        }
        var seen: Set<String> = []
        for header in headers {
            guard header.isWellFormed else {
                return .refuse(status: 400, because: "A header field is malformed.")
            }
            let name = header.name.lowercased()
            if single.contains(name), !seen.insert(name).inserted {
                return .refuse(status: 400, because: "A header field is there twice.")
            }
            if name == "transfer-encoding" || name == "content-length" && header.value != "0" {
                return .refuse(status: 400, because: "A GET here has no body.")
            }
            if name == "host", HostField(header.value) == nil {
                return .refuse(status: 400, because: "The Host is malformed.")
            }
        }
        if version != "HTTP/1.0", !seen.contains("host") {
            return .refuse(status: 400, because: "A request names its Host (RFC 9112, 3.2).")
        }
        return .accept
    }
}
