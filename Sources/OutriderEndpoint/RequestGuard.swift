// SPDX-License-Identifier: Apache-2.0
// What a request must be before any page sees it.
//
// libmicrohttpd calls its handler once with the headers alone. An answer queued there makes it
// close the connection, so whatever could be read as two requests by somebody in between, or names
// a path in two ways, is answered once and gone. Only clean GETs and HEADs come to a second call.

/// The rules for requests, pure functions of their bytes.
enum RequestGuard {
    /// What to do with a request.
    enum Verdict: Equatable {
        case accept
        case refuse(status: Int, because: String)
    }

    /// Whether a target, as it came, means the same to everyone who reads it.
    static func accepts(target: UnsafeBufferPointer<UInt8>) -> Bool {
        guard unsafe target.first == UInt8(ascii: "/") else { return false }
        var previous: UInt8 = 0
        var isQuery = false
        for index in target.indices {
            let byte = unsafe target[index]
            if byte <= 0x20 || byte == 0x7F || byte == UInt8(ascii: "\\") { return false }
            if byte == UInt8(ascii: "%"), unsafe isEncodedNull(target[index...]) { return false }
            if byte == UInt8(ascii: "?") { isQuery = true }
            if !isQuery, previous == UInt8(ascii: "/"), byte == previous { return false }
            if !isQuery, previous == UInt8(ascii: "."), byte == previous { return false }
            previous = byte
        }
        return true
    }

    private static func isEncodedNull(_ rest: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
        unsafe rest.prefix(3).elementsEqual("%00".utf8)
    }

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
            switch name {
            case "transfer-encoding":
                return .refuse(status: 400, because: "A GET here has no body.")
            case "content-length":
                guard header.value == "0" else {
                    return .refuse(status: 400, because: "A GET here has no body.")
                }
                fallthrough
            case "host":
                guard seen.insert(name).inserted else {
                    return .refuse(status: 400, because: "A header field is there twice.")
                }
            default: break
            }
        }
        if version != "HTTP/1.0", !seen.contains("host") {
            return .refuse(status: 400, because: "A request names its Host (RFC 9112, 3.2).")
        }
        return .accept
    }
}
