// SPDX-License-Identifier: Apache-2.0
// The server of a request, from the authority of its URL, as labels.

#if AsyncHTTPClient
    internal import OutriderHTTP

    /// The server in a URL.
    ///
    /// Source: RFC 3986, section 3.2. Text that is not the URL of a server has an empty address.
    package struct PeerAddress: Equatable {
        /// The name in lower case, the address without brackets, or the path of a socket; may be
        /// empty.
        package let address: String
        /// The port, or the scheme's default; 0 for a socket.
        package let port: Int

        package init(_ url: String) {
            guard let scheme = url.firstRange(of: "://") else {
                self.init(address: "", port: 0)
                return
            }
            let name = url[..<scheme.lowerBound].lowercased()
            let authority = url[scheme.upperBound...].prefix { !"/?#".contains($0) }
            let server = authority.drop { $0 != "@" }.dropFirst()
            self.init(server.isEmpty ? authority : server, scheme: name)
        }

        /// A host and port that its client parsed from a URL.
        package init(host: String, port: Int) {
            self.init(address: HostAddress.label(host), port: port)
        }

        private init(address: String, port: Int) {
            self.address = address
            self.port = port
        }

        private init(_ server: Substring, scheme: String) {
            if scheme.hasSuffix("+unix") {
                self.init(address: String(server.replacing("%2F", with: "/")), port: 0)
                return
            }
            let standard = scheme == "https" ? 443 : 80
            // Skips the colons of an address in brackets.
            let end = server.lastIndex(of: "]") ?? server.startIndex
            guard let colon = server[end...].firstIndex(of: ":") else {
                self.init(host: String(server), port: standard)
                return
            }
            let port = Int(server[server.index(after: colon)...])
            self.init(host: String(server[..<colon]), port: port ?? standard)
        }
    }
#endif
