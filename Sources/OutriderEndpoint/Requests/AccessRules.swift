// SPDX-License-Identifier: Apache-2.0
// Access to the operator pages.
//
// | where the endpoint listens | admitted requests |
// |---|---|
// | any address, with a token file | requests with the bearer token |
// | a Unix socket's file | local requests |
// | a loopback address, with `trustsLoopback` | local requests |
// | a loopback address without it, any other address | none |
//
// A local request has a Host that is `localhost`, an address or a configured name, and no header
// field of a proxy. On every address, a request that a page of another site caused is refused.
//
// The peer's address identifies the sender of a request, which need not be its origin: a proxy on
// this machine forwards the requests of all its clients. A proxy that adds no header field and sets
// Host to our address, as nginx does by default, looks like curl on this machine. So a loopback
// address is trusted only if the configuration says so.

/// Rules for access to the operator pages, those for ``PageAudience/operators``.
public struct AccessRules: Sendable {
    /// Host names that requests for operator pages may use, in addition to `localhost` and numeric
    /// addresses.
    ///
    /// Without a port, in any case.
    public var hostNames: [String] = []
    /// A file whose first line is the bearer token; nil if there is none.
    ///
    /// It is read for each request, so the token can be changed while the service runs. If it is
    /// set, the token is required on every address, including Unix sockets.
    public var tokenFile: String?
    /// Whether a request over a loopback address needs no token; `false` by default.
    ///
    /// Set it on an endpoint that only serves operators and to which no proxy on this machine
    /// forwards requests. It has no effect on a Unix socket, where the mode of the socket's file
    /// decides, or with a token file.
    public var trustsLoopback = false
    /// Where the operator pages are served without a token instead; nil if nowhere.
    ///
    /// The landing page and refusals show it if it is a loopback address. Called on the thread of
    /// each such response.
    public var operatorAddress: @Sendable () -> ListenAddress? = { nil }

    /// No other names, no token, and no trust in loopback addresses.
    public init() {}

    /// Decides on a request for an operator page at an endpoint with this address.
    func judge(_ headers: [IncomingField], at address: ListenAddress) -> RequestGuard.Verdict {
        let isForeign = headers.values("sec-fetch-site").contains {
            $0 != "same-origin" && $0 != "none"
        }
        if isForeign || headers.value("origin") != nil {
            return .refuse(status: 403, because: "Cross-site requests to this page are refused.")
        }
        if let tokenFile { return judge(headers, bearerIn: tokenFile) }
        guard isOpen(at: address) else { return .refuse(status: 403, because: whereItIs) }
        if headers.contains(where: \.isOfProxy) {
            return .refuse(
                status: 403,
                because: "This page requires a token for requests through a proxy.")
        }
        return judgeLocal(headers)
    }

    /// Whether an endpoint at this address serves operator pages to local requests without a token.
    func isOpen(at address: ListenAddress) -> Bool {
        address.isSocketFile || trustsLoopback && address.isLocal
    }

    /// The URL of ``operatorAddress``, if all clients may see it.
    var operatorURL: String? {
        // A loopback address is useless to other machines. A path, or an address of another
        // interface, is not shown.
        guard let address = operatorAddress(), address.isLocal else { return nil }
        return address.url.map { "\($0)/" }
    }

    private var whereItIs: String {
        operatorURL.map { "This page is served on the service's host only, at \($0)." }
            ?? "This page requires a token on this address; see OUTRIDER_DEBUG_ADDRESS."
    }

    private func judgeLocal(_ headers: [IncomingField]) -> RequestGuard.Verdict {
        guard let host = headers.value("host").flatMap(HostField.init), isAllowed(host) else {
            return .refuse(
                status: 403,
                because:
                    "The Host must be localhost, an IP address or a configured name.")
        }
        return .accept
    }

    private func isAllowed(_ host: HostField) -> Bool {
        host.kind != .name || hostNames.contains { HostField($0)?.host == host.host }
    }

    private func judge(
        _ headers: [IncomingField], bearerIn tokenFile: String
    ) -> RequestGuard.Verdict {
        guard let content = TokenFile.read(tokenFile), let token = BearerToken(file: content) else {
            return .refuse(status: 403, because: "The token of this page is not set up correctly.")
        }
        let given = headers.value("authorization").flatMap(BearerToken.init(authorization:))
        guard let given, given.matches(token) else {
            return .refuse(status: 401, because: "This page requires a bearer token.")
        }
        return .accept
    }
}

extension Endpoint.Configuration {
    /// Why the token file currently admits no request; nil if it does, or if there is none.
    package var tokenProblem: String? {
        guard let path = access.tokenFile else { return nil }
        if let content = TokenFile.read(path), BearerToken(file: content) != nil { return nil }
        return """
            the token file \(path) is unreadable, or its first line is not a token of visible ASCII; \
            /debug on \(address) returns 403 until this is fixed
            """
    }
}

extension IncomingField {
    /// Names of fields that proxies add to a request, in lower case; ``isOfProxy`` has patterns as
    /// well.
    ///
    /// Source: RFC 9110 7.6.2 and 7.6.3, RFC 8586; the others are in use.
    private static let namesOfProxies: Set<String> = [
        "via", "max-forwards", "cdn-loop", "x-real-ip", "x-remote-ip", "x-remote-addr",
        "x-remote-user",
        "x-originating-ip", "x-original-host", "x-original-url", "x-original-uri", "x-rewrite-url",
        "x-forward-for", "cf-connecting-ip", "cf-ray", "x-varnish", "x-appengine-remote-addr",
    ]
    private static let prefixesOfProxies = ["x-envoy-", "x-remote-extra-", "x-azure-", "x-arr-"]

    /// Whether a proxy has added it.
    var isOfProxy: Bool {
        let name = name.lowercased()
        // Forwarded (RFC 7239), X-Forwarded-For and -Proto, X-Original-Forwarded-For;
        // Proxy-Client-IP, Proxy-Connection; X-Client-IP, True-Client-IP, X-Cluster-Client-IP.
        return Self.namesOfProxies.contains(name) || name.contains("forwarded")
            || name.contains("proxy") || name.hasSuffix("client-ip")
            || Self.prefixesOfProxies.contains { name.hasPrefix($0) }
    }
}

extension [IncomingField] {
    /// The values of all fields of this name, given in lower case.
    func values(_ name: String) -> [String] {
        filter { $0.name.lowercased() == name }.map(\.value)
    }

    /// The value of the first field of this name, given in lower case.
    func value(_ name: String) -> String? { values(name).first }
}
