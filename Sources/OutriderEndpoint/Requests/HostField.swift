// SPDX-License-Identifier: Apache-2.0
// The Host field of a request: the name by which the client reached us.
//
// A page of a foreign site can point its own host name at 127.0.0.1 (DNS rebinding), and its
// scripts then reach this endpoint as if it were their own. They cannot change this field.

/// A well-formed Host field (RFC 9110, 7.2).
struct HostField: Equatable {
    /// The kind of host.
    enum Kind: Equatable {
        /// This machine by name: `localhost`.
        case loopbackName
        /// A numeric address, which did not come from DNS.
        case address
        /// Any other name.
        case name
    }

    /// The host in lower case, without the port.
    let host: String
    let kind: Kind

    /// Parses a field; nil if it is malformed.
    ///
    /// It may be empty: the client then has no name for us.
    init?(_ field: String) {
        let bytes = Array(field.utf8)
        let host: ArraySlice<UInt8>
        let port: ArraySlice<UInt8>
        if bytes.first == UInt8(ascii: "[") {
            guard let end = bytes.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            host = bytes[...end]
            port = bytes[(end + 1)...]
            guard Self.isBracketedAddress(host) else { return nil }
        } else {
            let colon = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.endIndex
            host = bytes[..<colon]
            port = bytes[colon...]
            guard host.allSatisfy(Self.isAllowedInName) else { return nil }
        }
        guard port.isEmpty || Self.isPort(port) else { return nil }
        let lower = host.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
        var name = String(decoding: lower, as: UTF8.self)
        if name.hasSuffix("."), name.utf8.count > 1 { name.removeLast() }
        self.host = name
        if name.hasPrefix("[") || Self.isDottedAddress(name) {
            kind = .address
        } else {
            kind = name == "localhost" ? .loopbackName : .name
        }
    }

    private static func isPort(_ bytes: ArraySlice<UInt8>) -> Bool {
        let digits = bytes.dropFirst()
        return bytes.first == UInt8(ascii: ":") && digits.count <= 5
            && digits.allSatisfy { (0x30...0x39).contains($0) }
            && digits.reduce(0) { $0 * 10 + Int($1 - 0x30) } <= 65_535
    }

    /// Letters, digits and the other characters that RFC 3986 allows unencoded in a registered
    /// name.
    private static func isAllowedInName(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "-._~!$&'()*+;=".utf8.contains(byte)
        }
    }

    private static func isBracketedAddress(_ bytes: ArraySlice<UInt8>) -> Bool {
        let inside = bytes.dropFirst().dropLast()
        return (2...45).contains(inside.count) && inside.contains(UInt8(ascii: ":"))
            && inside.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x46, 0x61...0x66: true
                default: byte == UInt8(ascii: ":") || byte == UInt8(ascii: ".")
                }
            }
    }

    /// Four decimal numbers up to 255, in the only spelling that all parsers read as decimal.
    private static func isDottedAddress(_ name: String) -> Bool {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                UInt8(part).map { String($0) == part } ?? false
            }
    }
}
