// SPDX-License-Identifier: Apache-2.0
// Server names and addresses as labels: one spelling for each server.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The name or address of a server.
package enum HostAddress {
    /// The label value for a host.
    ///
    /// Names are lowercased (RFC 9110, section 4.2.3); the path of a Unix socket is unchanged. An
    /// IPv6 address loses its brackets (RFC 3986, section 3.2.2) and its zone, and gets the
    /// spelling of inet_ntop(3) (RFC 5952), as in `network_peer_address`.
    package static func label(_ host: String) -> String {
        if host.hasPrefix("/") { return host }
        var needsWork = false
        for byte in host.utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: ":"), UInt8(ascii: "["):
                needsWork = true
            default: break
            }
        }
        return needsWork ? inFull(host) : host
    }

    private static func inFull(_ host: String) -> String {
        let name = host.lowercased()
        var address = name[...]
        if address.first == "[", address.last == "]" { address = address.dropFirst().dropLast() }
        return canonical(String(address.prefix { $0 != "%" })) ?? name
    }

    /// An IPv6 address in the spelling of inet_ntop(3); nil for other text.
    private static func canonical(_ text: String) -> String? {
        // A C string ends at its first zero byte.
        if text.utf8.contains(0) { return nil }
        var address = in6_addr()
        // SAFETY: the text ends with a zero byte, and AF_INET6 needs an in6_addr.
        guard unsafe inet_pton(AF_INET6, text, &address) == 1 else { return nil }
        var printed = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        // SAFETY: the call writes at most that many bytes, with a zero byte at the end.
        let written = unsafe inet_ntop(AF_INET6, &address, &printed, socklen_t(printed.count))
        guard unsafe written != nil else { return nil }
        return String(
            decoding: printed.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
