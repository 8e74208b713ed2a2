// SPDX-License-Identifier: Apache-2.0
// Negotiation of compression.

/// Parses the Accept-Encoding of a request.
enum AcceptEncoding {
    /// Whether `field` prefers gzip to no compression, or accepts both equally (RFC 9110, 12.5.3).
    static func allowsGzip(_ field: String?) -> Bool {
        guard let field else { return false }
        let items = WeightedItem.list(field)
        func quality(of names: String...) -> Int? {
            items.first { names.contains($0.name) }?.quality
        }
        let gzip = quality(of: "gzip", "x-gzip") ?? quality(of: "*") ?? 0
        return gzip > 0 && gzip >= quality(of: "identity") ?? 0
    }
}
