// SPDX-License-Identifier: Apache-2.0
// The checks that a request passes before any page sees it.
//
// libmicrohttpd first calls its handler with the headers alone. A response queued then makes it
// close the connection. So a request that an intermediary could parse as two requests gets one
// response and is disconnected. Only well-formed GETs and HEADs get a second call.

/// The rules for requests, as pure functions of their input.
enum RequestGuard {
    /// The decision on a request.
    enum Verdict: Equatable {
        case accept
        case refuse(status: Int, because: String)
    }

    /// Fields that may occur once; a duplicate could be parsed in two ways.
    private static let single: Set<String> = ["host", "content-length", "authorization", "origin"]

    /// Decides on a request by its first line and headers.
    static func judge(method: String, version: String, headers: [IncomingField]) -> Verdict {
        guard method == "GET" || method == "HEAD" else {
            return .refuse(status: 405, because: "Only GET and HEAD are supported.")
        }
        var seen: Set<String> = []
        for header in headers {
            guard header.isWellFormed else {
                return .refuse(status: 400, because: "Malformed header field.")
            }
            let name = header.name.lowercased()
            if single.contains(name), !seen.insert(name).inserted {
                return .refuse(status: 400, because: "Duplicate header field.")
            }
            if name == "transfer-encoding" || name == "content-length" && header.value != "0" {
                return .refuse(status: 400, because: "Request bodies are not accepted.")
            }
            if name == "host", HostField(header.value) == nil {
                return .refuse(status: 400, because: "Malformed Host header.")
            }
        }
        if version != "HTTP/1.0", !seen.contains("host") {
            return .refuse(status: 400, because: "Missing Host header (RFC 9112, 3.2).")
        }
        return .accept
    }
}
