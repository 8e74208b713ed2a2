// SPDX-License-Identifier: Apache-2.0
// Who may see the pages that are for operators.
//
// | where the endpoint listens | who is let in |
// |---|---|
// | anywhere, with a token file | requests with the bearer token |
// | loopback address, Unix socket | requests whose Host is this machine, an address, or configured, and that tell of no proxy |
// | any other address | nobody |
//
// Wherever it listens, nobody who was sent by a page of another site. The peer's address says who sent the request,
// which need not be who asks: a proxy of this machine passes on what the whole world asks. One that adds no header
// field looks like somebody of this machine; a token file is the way to close that.

/// Who may see the pages for operators, ``PageAudience/operators``.
public struct AccessRules: Sendable {
    /// Names by which browsers may ask for them, besides `localhost` and addresses in numbers.
    ///
    /// Without a port, in any case.
    public var hostNames: [String] = []
    /// A file whose first line is the bearer token; nil if there is none.
    ///
    /// Read at each request, so that the token can be changed while the service runs. Where there is one, it is
    /// asked for on every address.
    public var tokenFile: String?

    /// No other names, and no token.
    public init() {}

    /// Judges a request for a page for operators.
    func judge(_ headers: [IncomingField], isLocal: Bool) -> RequestGuard.Verdict {
        let isForeign = headers.values("sec-fetch-site").contains {
            $0 != "same-origin" && $0 != "none"
        }
        if isForeign || headers.value("origin") != nil {
            return .refuse(status: 403, because: "This page is not for other sites' pages.")
        }
        if let tokenFile { return judge(headers, bearerIn: tokenFile) }
        guard isLocal else {
            return .refuse(
                status: 403,
                because: "This page is served on the loopback address, or with a token.")
        }
        if headers.contains(where: \.isOfProxy) {
            return .refuse(
                status: 403,
                because: "This page is served through a proxy only with a token.")
        }
        return judgeLocal(headers)
    }

    private func judgeLocal(_ headers: [IncomingField]) -> RequestGuard.Verdict {
        guard let host = headers.value("host").flatMap(HostField.init), isAllowed(host) else {
            return .refuse(
                status: 403,
                because:
                    "This page is served for localhost, for addresses and for configured names.")
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
            return .refuse(status: 403, because: "There is no token that would open this page.")
        }
        let given = headers.value("authorization").flatMap(BearerToken.init(authorization:))
        guard let given, given.matches(token) else {
            return .refuse(status: 401, because: "This page wants the bearer token.")
        }
        return .accept
    }
}

extension Endpoint.Configuration {
    /// Why the token file opens nothing at this moment; nil if it does, or if there is none.
    package var tokenProblem: String? {
        guard let path = access.tokenFile else { return nil }
        if let content = TokenFile.read(path), BearerToken(file: content) != nil { return nil }
        return """
            the token file \(path) cannot be read, or its first line is no token of visible ASCII; \
            /debug on \(address) answers 403 until it is
            """
    }
}

extension IncomingField {
    /// What proxies add to a request that they pass on, in lower case: the standard's fields (RFC 7239, RFC 9110
    /// 7.6.3) and those that are in use.
    private static let namesOfProxies: Set<String> = [
        "forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip",
        "cf-connecting-ip", "fastly-client-ip", "x-original-forwarded-for", "x-remote-user",
    ]
    private static let prefixesOfProxies = ["x-forwarded", "x-envoy-", "x-remote-extra-"]

    /// Whether it tells that a proxy has passed the request on.
    var isOfProxy: Bool {
        let name = name.lowercased()
        return Self.namesOfProxies.contains(name)
            || Self.prefixesOfProxies.contains { name.hasPrefix($0) }
    }
}

extension [IncomingField] {
    /// The values of the fields of this name, which is in lower case.
    func values(_ name: String) -> [String] {
        filter { $0.name.lowercased() == name }.map(\.value)
    }

    /// The value of the first field of this name, which is in lower case.
    func value(_ name: String) -> String? { values(name).first }
}
