// SPDX-License-Identifier: Apache-2.0
// The path and the query of a request, parsed from the raw bytes.
//
// We parse them once, ourselves: the path that selects the page is the one that access is decided
// by. A target that two parsers could read differently is refused.

/// A request target in origin form: `/metrics?name[]=up` (RFC 9112, 3.2.1).
struct RequestTarget: Equatable {
    /// The decoded path.
    let path: String
    /// The decoded arguments of the query, in order.
    let query: [Argument]

    struct Argument: Equatable {
        let name: String
        let value: String
    }

    /// Why a target is refused.
    enum Problem: Error, Equatable {
        case malformed
        case tooManyArguments
    }

    /// The most arguments of a query, far above those of legitimate clients.
    static let argumentLimit = 100

    /// Parses a target.
    init(_ bytes: some BidirectionalCollection<UInt8>) throws(Problem) {
        guard bytes.first == UInt8(ascii: "/"), bytes.allSatisfy(Self.isAllowedInTarget) else {
            throw .malformed
        }
        let mark = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.endIndex
        guard let path = Self.decoded(bytes[..<mark], plusIsSpace: false), Self.isCanonical(path)
        else { throw .malformed }
        self.path = path
        query = mark == bytes.endIndex ? [] : try Self.arguments(bytes[mark...].dropFirst())
    }

    private static func arguments(
        _ bytes: some BidirectionalCollection<UInt8>
    ) throws(Problem) -> [Argument] {
        var arguments: [Argument] = []
        var count = 0
        for part in bytes.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false) {
            count += 1
            if count > argumentLimit { throw .tooManyArguments }
            if part.isEmpty { continue }
            let equals = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            guard let name = decoded(part[..<equals], plusIsSpace: true),
                let value = decoded(part[equals...].dropFirst(), plusIsSpace: true)
            else { throw .malformed }
            arguments.append(Argument(name: name, value: value))
        }
        return arguments
    }

    /// Printable ASCII, except characters that other parsers read differently.
    private static func isAllowedInTarget(_ byte: UInt8) -> Bool {
        (0x21...0x7E).contains(byte) && byte != UInt8(ascii: "\\") && byte != UInt8(ascii: "#")
    }

    /// Whether a path has no other spelling.
    private static func isCanonical(_ path: String) -> Bool {
        var previous: UInt8 = 0
        for byte in path.utf8 {
            if byte < 0x20 || byte == 0x7F || byte == UInt8(ascii: "\\") { return false }
            if byte == previous, byte == UInt8(ascii: "/") || byte == UInt8(ascii: ".") {
                return false
            }
            previous = byte
        }
        return true
    }

    /// Decodes percent-encoding; nil if it is malformed, encodes a NUL, or is not UTF-8.
    private static func decoded(
        _ bytes: some Collection<UInt8>, plusIsSpace: Bool
    ) -> String? {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var rest = bytes.makeIterator()
        while let byte = rest.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = rest.next().flatMap(hexDigit),
                    let low = rest.next().flatMap(hexDigit), high | low != 0
                else { return nil }
                result.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace: result.append(0x20)
            default: result.append(byte)
            }
        }
        return String(validating: result, as: UTF8.self)
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
