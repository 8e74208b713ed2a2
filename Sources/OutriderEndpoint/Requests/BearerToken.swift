// SPDX-License-Identifier: Apache-2.0
// Bearer tokens: parsing an Authorization field and comparing.

/// A bearer token (RFC 6750, 2.1).
struct BearerToken: Equatable {
    private let bytes: [UInt8]

    /// The longest token, in bytes.
    static let limit = 4 << 10

    /// The token of an Authorization field; nil if it has none.
    init?(authorization field: String) {
        let bytes = Array(field.utf8.prefix(Self.limit + 16))
        let space = UInt8(ascii: " ")
        guard let end = bytes.firstIndex(of: space),
            bytes[..<end].map({ $0 | 0x20 }).elementsEqual("bearer".utf8)
        else { return nil }
        let token = bytes[end...].drop { $0 == space }
        self.init(token)
    }

    /// The token in a file: its first line.
    init?(file content: [UInt8]) {
        let line = content.prefix { $0 != 0x0A }
        self.init(line.last == 0x0D ? line.dropLast() : line)
    }

    /// Accepts visible ASCII up to the limit.
    private init?(_ token: ArraySlice<UInt8>) {
        guard !token.isEmpty, token.count <= Self.limit,
            token.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return nil }
        bytes = Array(token)
    }

    /// Whether both are equal; the time does not depend on where they differ.
    func matches(_ other: BearerToken) -> Bool {
        var difference = bytes.count ^ other.bytes.count
        for index in bytes.indices {
            difference |= Int(bytes[index] ^ other.bytes[index % other.bytes.count])
        }
        return difference == 0
    }
}
