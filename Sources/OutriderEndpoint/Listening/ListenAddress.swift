// SPDX-License-Identifier: Apache-2.0
// Where an endpoint listens: a TCP address or a Unix socket.

/// An address to listen on, in the notation of configuration files.
///
/// | text | meaning |
/// |---|---|
/// | `127.0.0.1:9464` | this machine only |
/// | `[::1]:9464` | this machine only, IPv6 |
/// | `0.0.0.0:9464`, `[::]:9464` | every interface; `[::]` accepts IPv4 too |
/// | `localhost:9464` | `127.0.0.1:9464` |
/// | `127.0.0.1:0` | any free port; ``Endpoint/address`` has the port that was chosen |
/// | `unix:/run/shop/outrider.sock` | a Unix socket that only the same user can reach |
/// | `systemd:metrics` | the socket that a supervisor passed by this name (`FileDescriptorName=`) |
/// | `systemd` | the passed socket named `outrider`, or the only one that was passed |
///
/// Other host names are refused: a DNS query at start could block the service.
public struct ListenAddress: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        case ipv4(host: String, port: UInt16)
        case ipv6(host: String, port: UInt16)
        case unix(path: String)
        case passed(name: String?)
    }

    let kind: Kind

    /// The longest path that fits into `sockaddr_un.sun_path` (unix(7)).
    static let longestUnixPath = 107

    /// 127.0.0.1 and this port; 0 chooses a free one.
    public static func loopback(port: UInt16) -> ListenAddress {
        ListenAddress(kind: .ipv4(host: "127.0.0.1", port: port))
    }

    /// A Unix socket at this path, which must be absolute and at most 107 bytes long.
    ///
    /// An ``Endpoint`` refuses other paths when it starts to listen.
    public static func unix(path: String) -> ListenAddress {
        ListenAddress(kind: .unix(path: path))
    }

    /// A listening socket that a supervisor passed to this process (socket activation).
    ///
    /// It stays open while the service restarts, and clients wait. The supervisor decides where it
    /// listens and who may reach it. Source: sd_listen_fds(3), systemd.socket(5).
    ///
    /// - Parameter name: Its `FileDescriptorName`; nil for the one named `outrider`, or the only
    ///   one.
    public static func systemd(name: String? = nil) -> ListenAddress {
        ListenAddress(kind: .passed(name: name))
    }

    /// The passed socket that an agent takes without configuration: the one named `outrider`.
    package static var passedToAgent: ListenAddress? {
        let name = PassedSockets.defaultName
        let isPassed = PassedSockets.ofProcess.descriptor(named: name) != nil
        return isPassed ? .systemd(name: name) : nil
    }

    init(kind: Kind) {
        self.kind = kind
    }

    /// Parses an address as in the table above.
    ///
    /// - Throws: An ``EndpointError`` of code ``EndpointError/Code/invalidAddress`` that states the
    ///   expected notation.
    public init(_ text: String) throws(EndpointError) {
        guard let kind = Self.parse(text) else {
            throw EndpointError(.invalidAddress, context: text)
        }
        self.kind = kind
    }

    private static func parse(_ text: String) -> Kind? {
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst(5))
            return isUsable(path) ? .unix(path: path) : nil
        }
        if text == "systemd" { return .passed(name: nil) }
        if text.hasPrefix("systemd:") {
            let name = String(text.dropFirst(8))
            return isUsable(name: name) ? .passed(name: name) : nil
        }
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits)
        else { return nil }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
            return SocketAddress.isValid(host, isIPv6: true) ? .ipv6(host: host, port: port) : nil
        }
        if host == "localhost" { host = "127.0.0.1" }
        return SocketAddress.isValid(host, isIPv6: false) ? .ipv4(host: host, port: port) : nil
    }

    /// Whether the address is well formed.
    var isUsable: Bool {
        switch kind {
        case .unix(let path): Self.isUsable(path)
        case .passed(let name?): Self.isUsable(name: name)
        default: true
        }
    }

    /// Whether a descriptor may have this name (sd_pid_notify_with_fds(3), under FDNAME).
    private static func isUsable(name: String) -> Bool {
        (1...255).contains(name.utf8.count)
            && name.utf8.allSatisfy { (0x20...0x7e).contains($0) && $0 != UInt8(ascii: ":") }
    }

    private static func isUsable(_ path: String) -> Bool {
        path.hasPrefix("/") && path.utf8.count <= longestUnixPath && !path.utf8.contains(0)
    }

    /// The same address with another port; an address without a port is unchanged.
    func with(port: UInt16) -> ListenAddress {
        switch kind {
        case .ipv4(let host, _): ListenAddress(kind: .ipv4(host: host, port: port))
        case .ipv6(let host, _): ListenAddress(kind: .ipv6(host: host, port: port))
        case .unix, .passed: self
        }
    }

    /// The port; nil for a Unix socket, and for a passed one that is not in use yet.
    public var port: Int? {
        switch kind {
        case .ipv4(_, let port), .ipv6(_, let port): Int(port)
        case .unix, .passed: nil
        }
    }

    /// Whether only this machine can reach it; for a passed socket, where that one listens.
    public var isLocal: Bool {
        switch kind {
        case .ipv4(let host, _): host.hasPrefix("127.")
        case .ipv6(let host, _): SocketAddress.isLoopback(ipv6: host)
        case .unix: true
        case .passed(let name): PassedSockets.ofProcess.address(named: name)?.isLocal ?? false
        }
    }

    /// Where a passed socket listens; any other address unchanged.
    package var resolved: ListenAddress {
        guard case .passed(let name) = kind else { return self }
        return PassedSockets.ofProcess.address(named: name) ?? self
    }

    /// Whether it is a Unix socket with a file, whose mode decides who may connect.
    ///
    /// A passed socket can be in the abstract namespace, which has no modes (unix(7)); its name
    /// begins with `@` here.
    package var isSocketFile: Bool {
        guard case .unix(let path) = resolved.kind else { return false }
        return path.hasPrefix("/")
    }

    /// The URL by which this machine reaches it, without a path; nil for a Unix socket, and for a
    /// passed one that is not in use yet.
    public var url: String? {
        switch kind {
        case .ipv4(let host, let port):
            "http://\(host == "0.0.0.0" ? "127.0.0.1" : host):\(port)"
        case .ipv6(let host, let port): "http://[\(host == "::" ? "::1" : host)]:\(port)"
        case .unix, .passed: nil
        }
    }
}

extension ListenAddress: CustomStringConvertible {
    /// The address in the notation of ``init(_:)``.
    public var description: String {
        switch kind {
        case .ipv4(let host, let port): "\(host):\(port)"
        case .ipv6(let host, let port): "[\(host)]:\(port)"
        case .unix(let path): "unix:\(path)"
        case .passed(let name): name.map { "systemd:\($0)" } ?? "systemd"
        }
    }
}
